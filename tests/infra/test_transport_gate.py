"""Callers that open connections, send without end or say nothing cost a bounded amount."""

import asyncio
import socket
import ssl
from contextlib import ExitStack, suppress

import pytest
from aiohttp import web

from infra.transport.bodies import read_body
from infra.transport.gate import Room
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox, make_app, serve
from infra.transport.refusal import SparingLog, missing_certificate
from mpc_core.protocol.merkle import chunk_root
from tests.support.transport import calling, serving

BLOB = bytes(range(256))
ROOT = chunk_root(BLOB, 1024)
SMALL = Room(strangers=8, per_member=4, handshake_seconds=60.0)
LIMIT = 4096
GET = f"GET /blobs/{ROOT.hex()} HTTP/1.1\r\nHost: op-01\r\n"
SECONDS = 30.0


@pytest.fixture
def app(world, tmp_path):
    box = Outbox(tmp_path / "outbox", SentLedger(tmp_path / "sent.json"))
    box.path(ROOT, "N").write_bytes(BLOB)
    app = make_app(world.identity("op-01"), box)

    async def echo(request):
        return web.Response(body=b"%d" % len(await read_body(request, LIMIT, seconds=0.1)))

    app.router.add_post("/echo", echo)
    return app


@pytest.fixture
def served(world, app):
    with serving(app, world.identity("op-01"), room=SMALL) as port:
        yield port


def knock(port):
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def called(world, port, name="op-02"):
    return world.identity(name).client_context("op-01").call(knock(port))


def get(world, port, name="op-03"):
    with calling(world.identity(name), "op-01", port) as peer:
        return peer.request("GET", f"/blobs/{ROOT.hex()}", limit=1000)


def has_ended(line):
    """Wait for the end of a connection, from the other side."""
    try:
        return line.recv(1 << 16) == b""
    except ConnectionError:
        return True


def answers(line):
    line.sendall(f"{GET}\r\n".encode())
    received = b""
    while not received.endswith(BLOB):
        received += line.recv(1 << 16)
    return received.startswith(b"HTTP/1.1 200")


def flood(line, head, piece):
    """Send until the other side no longer takes it."""
    line.sendall(head)
    with suppress(ConnectionError, ssl.SSLError):
        while True:
            line.sendall(piece)


def test_a_flood_of_silent_strangers_keeps_no_member_out(world, served):
    with ExitStack() as stack:
        strangers = [stack.enter_context(knock(served)) for _ in range(400)]
        assert get(world, served) == BLOB
        assert all(has_ended(line) for line in strangers[: -SMALL.strangers])
        strangers[-1].settimeout(0.0)
        with pytest.raises(BlockingIOError):
            strangers[-1].recv(1)
        assert get(world, served) == BLOB


def test_a_stranger_that_never_shakes_hands_is_turned_away(world, app):
    hurried = Room(strangers=8, per_member=4, handshake_seconds=0.2)
    with serving(app, world.identity("op-01"), room=hurried) as port, knock(port) as line:
        line.sendall(b"\x16\x03\x01\x02")  # the beginning of a greeting
        assert has_ended(line)


def test_a_member_has_so_many_connections_and_the_newest_count(world, served):
    with ExitStack() as stack:
        lines = [stack.enter_context(called(world, served)) for _ in range(12)]
        kept = lines[-SMALL.per_member :]
        assert all(answers(line) for line in kept)
        assert all(has_ended(line) for line in lines[: -SMALL.per_member])
        assert get(world, served) == BLOB
        assert all(answers(line) for line in kept)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        ("GET / HTTP/1.1\r\n", b"X-Filler: " + b"x" * 4000 + b"\r\n"),
        ("GET /", b"x" * 65536),
        (f"{GET}X-Filler: ", b"x" * 65536),
        (f"{GET}Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65536) + b"\r\n"),
        (f"{GET}Content-Length: 10000000000\r\n\r\n", bytes(65536)),
        ("POST /echo HTTP/1.1\r\nHost: op-01\r\nContent-Length: 10000000000\r\n\r\n", bytes(65536)),
        (
            "POST /echo HTTP/1.1\r\nHost: op-01\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"10000\r\n" + bytes(65536) + b"\r\n",
        ),
    ],
    ids=["headers", "path", "header", "chunks", "length", "posted length", "posted chunks"],
)
def test_a_request_without_end_is_cut_off(world, served, head, piece):
    with called(world, served) as line:
        flood(line, head.encode(), piece)
    assert get(world, served) == BLOB


def test_a_body_that_drips_is_given_up(world, served):
    with called(world, served) as line:
        line.sendall(b"POST /echo HTTP/1.1\r\nHost: op-01\r\nContent-Length: 100\r\n\r\nx")
        assert line.recv(1 << 16).startswith(b"HTTP/1.1 408")


def test_refusals_of_strangers_do_not_fill_the_log(capsys):
    times = [0.0]
    sparing = SparingLog(lambda: times[0])
    for _ in range(1000):
        sparing.tell(missing_certificate())
    assert capsys.readouterr().out.count("RF-PEER-005") == 30
    times[0] = 61.0
    sparing.tell(missing_certificate())
    assert "not_logged_before=970" in capsys.readouterr().out


async def test_a_server_that_stops_leaves_nobody_waiting(world, app):
    async with serve(app, world.identity("op-01"), room=SMALL) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
