"""A peer that keeps a line open and never renews its document is cut off when that is too old.

Who is stubborn here goes on with an old document, and ends no connection when it is due.
"""

import dataclasses
import datetime as dt
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from aiohttp import ClientConnectionError, web

from infra.transport import bulk, pinned
from infra.transport.fetch import fetch_blob
from infra.transport.outbox import make_app
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root
from tests.support.attested import AttestedWorld
from tests.support.transport import QUICK, calling, serving

LEAF = 4096
HALF = bytes(range(256)) * 64
BLOB = 2 * HALF
ROOT = chunk_root(BLOB, LEAF)
ONCE = dataclasses.replace(QUICK, attempts=1, silence_seconds=1e5)
"""So patient that nothing but the age of a document can end a call."""
CUT = r"RF-PEER-007|RF-PEER-013|RF-ATTEST-007"
"""A line that was lost, or a new one that is refused: what was under way never comes to its end."""


class Times:
    """All clocks of a test: those of members, and those of connections."""

    def __init__(self, world):
        self._world = world
        self._ahead = 0.0

    def monotonic(self):
        return time.monotonic() + self._ahead

    def let_documents_grow_too_old(self):
        seconds = self._world.document_seconds + 1
        self._ahead += seconds
        self._world.now += dt.timedelta(seconds=seconds)


@pytest.fixture
def world():
    return AttestedWorld()


@pytest.fixture
def times(world, monkeypatch):
    times = Times(world)
    monkeypatch.setattr(pinned, "time", times)
    monkeypatch.setattr(bulk, "time", times)
    return times


def _stubborn(world, name):
    identity = world.identity(name)
    identity.attestation.maximal_age = dt.timedelta(days=2)
    return identity


@contextmanager
def _server(identity, method, path, handler):
    app = make_app(identity)
    app.router.add_route(method, path, handler)
    with serving(app, identity) as port:
        yield port


@contextmanager
def _line(world, port):
    """A connection on which a stubborn caller does as it likes."""
    connected = socket.create_connection(("127.0.0.1", port), timeout=30)
    with _stubborn(world, "op-02").client_context("op-01").call(connected) as line:
        yield line


def _until_the_end(line):
    """Return everything that the other side still sends, byte by byte as TLS lets it through."""
    received = b""
    with suppress(OSError):
        while piece := line.recv(1 << 16):
            received += piece
    return received


def _gives_slowly(times):
    """Return a handler between whose two halves of an answer documents become too old."""

    async def gives(request):
        answer = web.StreamResponse(headers={"Content-Length": str(len(BLOB))})
        await answer.prepare(request)
        await answer.write(HALF)
        times.let_documents_grow_too_old()
        with suppress(ClientConnectionError, ConnectionError):
            await answer.write(HALF)
        return answer

    return gives


def test_nothing_more_is_read_from_a_caller_that_goes_on_with_an_old_document(world, times):
    first, over, read = threading.Event(), threading.Event(), []

    async def takes(request):
        try:
            async for piece in request.content.iter_any():
                read.append(piece)
                first.set()
        finally:
            over.set()
        return web.Response()

    with (
        _server(world.identity("op-01"), "POST", "/take", takes) as port,
        _line(world, port) as line,
    ):
        head = f"POST /take HTTP/1.1\r\nHost: op-01\r\nContent-Length: {len(BLOB)}\r\n\r\n"
        line.sendall(head.encode() + HALF)
        assert first.wait(30)
        times.let_documents_grow_too_old()
        with suppress(OSError):
            line.sendall(HALF)
        _until_the_end(line)
        assert over.wait(30)
    assert len(b"".join(read)) <= len(HALF)


def test_nothing_more_is_written_to_a_caller_that_goes_on_with_an_old_document(world, times):
    with (
        _server(world.identity("op-01"), "GET", "/give", _gives_slowly(times)) as port,
        _line(world, port) as line,
    ):
        line.sendall(b"GET /give HTTP/1.1\r\nHost: op-01\r\n\r\n")
        _, _, body = _until_the_end(line).partition(b"\r\n\r\n")
    assert len(body) <= len(HALF)


def test_nothing_more_is_read_from_a_server_that_goes_on_with_an_old_document(world, times):
    with (
        _server(_stubborn(world, "op-01"), "GET", "/give", _gives_slowly(times)) as port,
        calling(world.identity("op-03"), "op-01", port, ONCE) as peer,
        pytest.raises(CeremonyError, match=CUT),
    ):
        peer.request("GET", "/give", limit=len(BLOB))


def test_nothing_more_is_written_to_a_server_that_goes_on_with_an_old_document(world, times):
    read = []

    async def takes(request):
        read.append(await request.read())
        return web.Response()

    with (
        _server(_stubborn(world, "op-01"), "POST", "/take", takes) as port,
        calling(world.identity("op-03"), "op-01", port, ONCE) as peer,
    ):
        peer.request("POST", "/take", b"while it counts", limit=0)
        times.let_documents_grow_too_old()
        with pytest.raises(CeremonyError, match=CUT):
            peer.request("POST", "/take", b"too late", limit=0)
    assert read == [b"while it counts"]


def test_a_blob_is_not_read_on_from_a_server_that_goes_on_with_an_old_document(
    world, times, tmp_path
):
    with (
        _server(_stubborn(world, "op-01"), "GET", "/blobs/{root}", _gives_slowly(times)) as port,
        calling(world.identity("op-03"), "op-01", port, ONCE) as peer,
        pytest.raises(CeremonyError, match=CUT),
    ):
        fetch_blob(peer, ROOT, len(BLOB), LEAF, tmp_path / "blob")
    assert not (tmp_path / "blob").exists()


def test_an_idle_line_to_a_server_with_an_old_document_is_not_used_again(world, times, tmp_path):
    asked = []

    async def gives(request):
        asked.append(request.path)
        return web.Response(body=BLOB)

    with (
        _server(_stubborn(world, "op-01"), "GET", "/blobs/{root}", gives) as port,
        calling(world.identity("op-03"), "op-01", port, ONCE) as peer,
    ):
        fetch_blob(peer, ROOT, len(BLOB), LEAF, tmp_path / "first")
        times.let_documents_grow_too_old()
        with pytest.raises(CeremonyError) as caught:
            fetch_blob(peer, ROOT, len(BLOB), LEAF, tmp_path / "second")
    assert (caught.value.code, caught.value.operator) == ("RF-ATTEST-007", "op-01")
    assert len(asked) == 1
