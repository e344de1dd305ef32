"""A line between callers and a server that fails as it is told to."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.loop import BackgroundLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECE = 16 * 1024


@dataclass
class FaultyProxy:
    """Passes bytes between callers and the server at `port`.

    Attributes:
        port: the server's.
        passed: bytes passed to callers so far.
        connections: how many there were.
        watched: called with `passed` before each piece for a caller, on the proxy's loop.
        taken: called with `connections` for each new one, on the proxy's loop.
    """

    port: int
    passed: int = 0
    connections: int = 0
    watched: Callable[[int], None] = lambda _passed: None
    taken: Callable[[int], None] = lambda _connections: None
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def part(self) -> None:
        """Let nothing through; connections stay open and new ones are taken, but all is silent."""
        self._open.clear()

    def heal(self) -> None:
        """Let everything through again."""
        self._open.set()

    def cut(self) -> None:
        """Break all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a caller to the server."""
        self.connections += 1
        self.taken(self.connections)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        both = {writer, far_writer}
        self._writers |= both
        try:
            await asyncio.gather(
                self._pass(reader, far_writer, counts=False),
                self._pass(far_reader, writer, counts=True),
            )
        finally:
            self._writers -= both
            for each in both:
                each.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool
    ) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(PIECE):
                if counts:
                    self.watched(self.passed)
                    self.passed += len(piece)
                await self._open.wait()
                writer.write(piece)
                await writer.drain()
            writer.close()


@contextmanager
def between(port: int) -> Iterator[tuple[FaultyProxy, int]]:
    """Yield a proxy of the server at `port`, and the proxy's port."""
    loop = BackgroundLoop("proxy")

    async def start() -> tuple[FaultyProxy, asyncio.Server]:
        proxy = FaultyProxy(port)
        proxy.heal()
        return proxy, await asyncio.start_server(proxy.handle, "127.0.0.1", 0)

    async def stop() -> None:
        server.close()
        proxy.heal()
        proxy.cut()
        await asyncio.sleep(0)

    proxy, server = loop.run(start())
    try:
        yield proxy, server.sockets[0].getsockname()[1]
    finally:
        loop.run(stop())
        loop.close()
