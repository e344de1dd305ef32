"""The door of a server: how many connections there are at once, and for how long nothing comes.

- A caller proves who it is within `handshake_seconds`. So many strangers may be about it at once;
  a further one takes the place of the oldest, so that a flood of connections costs a bounded amount
  of memory and a member, whose handshake takes a moment, still gets in.
- A member has so many connections; a further one takes the place of its oldest, which may be one
  that the member itself lost without our hearing of it.
- A line on which nothing is acknowledged any more is closed by the kernel.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import ref

import structlog

from infra.transport.doorman import Doorman
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from infra.transport.tls import Identity

__all__ = ["Gate", "Room"]

_PAUSE_SECONDS = 0.5
_SHUTDOWN_SECONDS = 5.0
_IDLE_SECONDS, _PROBE_SECONDS, _PROBES = 60, 15, 4
_UNACKNOWLEDGED_MILLISECONDS = 120_000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections a server has room for.

    Attributes:
        strangers: connections whose other end has not proved yet who it is.
        per_member: connections of one member.
        handshake_seconds: how long a stranger may take.
    """

    strangers: int = 64
    per_member: int = 96
    handshake_seconds: float = 15.0


@dataclass(slots=True)
class Gate:
    """Lets members in.

    Attributes:
        identity: who serves.
        protocol: makes what handles a connection.
        room: how many there may be.
    """

    identity: Identity
    protocol: Callable[[], asyncio.Protocol]
    room: Room
    _strangers: dict[asyncio.Task[None], socket.socket] = field(default_factory=dict)
    _lines: dict[str, list[ref[asyncio.BaseTransport]]] = field(default_factory=dict)

    @asynccontextmanager
    async def open(self, listening: socket.socket) -> AsyncIterator[None]:
        """Take the connections of a listening socket while the context is open, then close it."""
        listening.setblocking(False)
        accepting = asyncio.create_task(self._accept(listening))
        try:
            yield
        finally:
            tasks = [accepting, *self._strangers]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            listening.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        context = self.identity.server_context()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:  # too many files are open, for instance
                _log.warning("no connection can be taken", reason=repr(error))
                self._turn_away()
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            _keep_alive(connection)
            task = asyncio.create_task(self._let_in(connection, context))
            self._strangers[task] = connection
            task.add_done_callback(self._strangers.pop)
            if len(self._strangers) > self.room.strangers:
                self._turn_away()

    def _turn_away(self) -> None:
        """End the oldest connection of a stranger."""
        oldest = next((task for task in self._strangers if not task.cancelling()), None)
        if oldest is not None:
            oldest.cancel()

    async def _let_in(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        """Shake hands; whose hand that is the protocol says when it is asked for something."""
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                self._first_protocol,
                connection,
                ssl=context,
                ssl_handshake_timeout=self.room.handshake_seconds,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except (OSError, TimeoutError):  # the context has reported whom it refused
            connection.close()
            return
        except BaseException:
            connection.close()
            raise
        self._seat(transport)

    def _first_protocol(self) -> asyncio.Protocol:
        if self.identity.attestation is None:
            return self.protocol()
        return Doorman(self.identity, self.protocol)

    def _seat(self, transport: asyncio.BaseTransport) -> None:
        """Count a member's connection, and end its oldest one if there are too many."""
        try:
            name = self.identity.caller(transport)
        except CeremonyError:  # whoever answers the request tells it why
            name = ""
        lines = [line for line in self._lines.get(name, ()) if _is_open(line())]
        lines.append(ref(transport))
        self._lines[name] = lines
        if len(lines) > self.room.per_member:
            oldest = lines.pop(0)()
            assert isinstance(oldest, asyncio.Transport)
            oldest.abort()


def _keep_alive(connection: socket.socket) -> None:
    """Let the kernel notice that the other end has gone without a word."""
    with suppress(OSError):  # it may have gone already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, value in (
            ("TCP_KEEPIDLE", _IDLE_SECONDS),
            ("TCP_KEEPINTVL", _PROBE_SECONDS),
            ("TCP_KEEPCNT", _PROBES),
            ("TCP_USER_TIMEOUT", _UNACKNOWLEDGED_MILLISECONDS),
        ):
            if hasattr(socket, name):  # not every system has all of them
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _is_open(transport: asyncio.BaseTransport | None) -> bool:
    return transport is not None and not transport.is_closing()
