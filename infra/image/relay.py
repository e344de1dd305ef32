"""Byte relays between the sockets of an enclave and those of its parent.

An enclave has no network, only vsock. What the operator connects to over TCP is relayed to a port
of the parent, and what comes to the enclave's port is relayed to the operator. TLS goes through
unopened; a relay that lies can delay and cut, as any network can.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

__all__ = ["PARENT", "End", "relay", "tcp", "vsock"]

PARENT = 3
"""The address of the parent on vsock."""

ANY = 0xFFFFFFFF
"""The address on vsock at which an enclave listens, whatever its own is."""

PIECE = 1 << 16
BACKLOG = 128
MOST_CONNECTIONS = 256
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class End:
    """Where a relay listens, or what it connects to: a family and an address of it."""

    family: int
    address: Any


def tcp(host: str, port: int) -> End:
    """Return an address of IPv4."""
    return End(socket.AF_INET, (host, port))


def vsock(port: int, cid: int = ANY) -> End:
    """Return a port of vsock, of this machine unless another is said."""
    return End(socket.AF_VSOCK, (cid, port))


async def relay(at: End, to: End) -> asyncio.Server:
    """Begin to relay every connection at one end to the other.

    Raises:
        OSError: if nothing can listen there.
    """
    room = asyncio.Semaphore(MOST_CONNECTIONS)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with room:
            await _join(reader, writer, to)

    listening = socket.socket(at.family, socket.SOCK_STREAM)
    try:
        if at.family == socket.AF_INET:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(at.address)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return await asyncio.start_server(serve, sock=listening, limit=PIECE)


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: End) -> None:
    """Carry bytes both ways until both sides ended, or one of them broke."""
    try:
        there_reader, there_writer = await _connected(to)
    except (OSError, TimeoutError):
        writer.transport.abort()  # the peer sees a broken connection, as it is one
        return
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_carry(reader, there_writer))
            group.create_task(_carry(there_reader, writer))
    except* OSError:
        writer.transport.abort()
        there_writer.transport.abort()
    finally:
        for each in (writer, there_writer):
            each.close()
            with suppress(OSError):
                await each.wait_closed()


async def _connected(to: End) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    connecting = socket.socket(to.family, socket.SOCK_STREAM)
    connecting.setblocking(False)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.get_running_loop().sock_connect(connecting, to.address)
    except BaseException:
        connecting.close()
        raise
    return await asyncio.open_connection(sock=connecting, limit=PIECE)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes one way; the end of the stream is carried too."""
    while data := await reader.read(PIECE):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
