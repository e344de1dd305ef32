"""A relay carries every byte and both ends of a connection, and nothing hangs when one breaks."""

import asyncio
import os
import socket

import pytest

from infra.image.relay import PARENT, End, relay, tcp, vsock

PATIENCE = 30


@pytest.fixture
def unix(tmp_path):
    return End(socket.AF_UNIX, str(tmp_path / "there"))


async def _relayed(serve, unix):
    """Return a connection through a relay to a server that does this with each connection."""
    server = await asyncio.start_unix_server(serve, unix.address)
    between = await relay(tcp("127.0.0.1", 0), unix)
    port = between.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return server, between, reader, writer


async def _is_over(reader):
    """Tell whether nothing comes any more, by an end or by a break."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_megabytes_and_the_end_of_the_stream_come_through_both_ways(unix):
    sent = os.urandom(3_000_000)

    async def echo_after_the_end(reader, writer):
        data = await reader.read()
        writer.write(data[::-1])
        writer.close()

    server, between, reader, writer = await _relayed(echo_after_the_end, unix)
    async with asyncio.timeout(PATIENCE):
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent[::-1]
    writer.close()
    between.close()
    server.close()


async def test_a_connection_ends_where_nobody_listens(unix):
    between = await relay(tcp("127.0.0.1", 0), unix)
    port = between.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE):
        assert await _is_over(reader)
    writer.close()
    between.close()


async def test_one_side_that_breaks_ends_the_other(unix):
    async def break_off(reader, writer):
        await reader.read(1)
        writer.transport.abort()

    server, between, reader, writer = await _relayed(break_off, unix)
    async with asyncio.timeout(PATIENCE):
        writer.write(b"x")
        assert await _is_over(reader)
    writer.close()
    between.close()
    server.close()


async def test_an_address_in_use_is_said_at_once(unix):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await relay(tcp(*taken.getsockname()), unix)


def test_ports_of_vsock_are_of_this_machine_unless_another_is_said():
    assert vsock(7443) == End(socket.AF_VSOCK, (socket.VMADDR_CID_ANY, 7443))
    assert vsock(8001, PARENT) == End(socket.AF_VSOCK, (socket.VMADDR_CID_HOST + 1, 8001))
