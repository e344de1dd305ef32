import asyncio
import gzip
import os
import socket

import pytest
from aiohttp import web

from infra.transport.client import PeerClient, RefusedRequestError
from infra.transport.ledger import SentLedger
from infra.transport.outbox import CALLER, Outbox, make_app
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root
from tests.support.transport import QUICK, calling, serving

DATA = bytes(range(256)) * 40
ROOT = chunk_root(DATA, 1024)
SECRET = b"identity key"
BOMB = gzip.compress(bytes(1_000_000))


@pytest.fixture
def outbox(tmp_path):
    (tmp_path / "key").write_bytes(SECRET)
    box = Outbox(tmp_path / "outbox", SentLedger(tmp_path / "sent.json"))
    box.path(ROOT, "N").write_bytes(DATA)
    return box


@pytest.fixture
def peer(world, outbox):
    with (
        serving(make_app(world.identity("op-01"), outbox), world.identity("op-01")) as port,
        calling(world.identity("op-02"), "op-01", port) as peer,
    ):
        yield peer


def status_of(peer, path):
    with pytest.raises(RefusedRequestError) as caught:
        peer.request("GET", path, limit=1000)
    return caught.value.status


@pytest.mark.parametrize(
    "path",
    [
        "/blobs/../../key",
        "/blobs/..%2f..%2fkey",
        "/blobs/%2e%2e%2f%2e%2e%2fkey",
        "/blobs/N",
        f"/blobs/N/{ROOT.hex()}",
        f"/blobs/N%2f{ROOT.hex()}",
        f"/blobs/{ROOT.hex().upper()}",
        f"/blobs/{ROOT.hex()}%0a",
        f"/blobs/{ROOT.hex()}%00",
        f"/blobs/{ROOT.hex()[:-1]}",
        "/blobs/",
        "/",
    ],
)
def test_only_the_exact_name_of_a_blob_is_served(peer, path):
    assert status_of(peer, path) == 404


def test_neither_links_nor_directories_pass_for_blobs(peer, outbox, tmp_path):
    link, folder, pipe = (bytes([number]) * 32 for number in (1, 2, 3))
    outbox.path(link, "N").symlink_to(tmp_path / "key")
    outbox.path(folder, "N").mkdir()
    os.mkfifo(outbox.path(pipe, "N"))
    for root in (link, folder, pipe):
        assert status_of(peer, f"/blobs/{root.hex()}") == 404


@pytest.mark.parametrize(
    ("header", "status", "body"),
    [
        ("bytes=0-", 200, DATA),
        ("bytes=10000-", 206, DATA[10000:]),
        ("bytes=5-9", 206, DATA[5:10]),
        ("bytes=-7", 206, DATA[-7:]),
        (f"bytes={len(DATA)}-", 416, None),
        ("bytes=9-5", 416, None),
        ("pages=1", 416, None),
    ],
)
def test_ranges_are_served_as_asked(peer, header, status, body):
    async def ask():
        path = f"/blobs/{ROOT.hex()}"
        async with peer.client.exchange(peer, "GET", path, headers={"Range": header}) as response:
            return response.status, response.headers.get("Content-Range"), await response.read()

    found_status, content_range, found = peer.run(ask())
    assert found_status == status
    if body is not None:
        assert found == body
    if status == 206:
        start = DATA.rindex(body) if header == "bytes=-7" else int(header[6:].split("-")[0])
        assert content_range == f"bytes {start}-{start + len(body) - 1}/{len(DATA)}"


def test_sent_bytes_are_counted_per_label_and_requester_across_restarts(world, outbox, tmp_path):
    other = chunk_root(b"other", 1024)
    outbox.path(other, "M").write_bytes(b"other")
    with (
        serving(make_app(world.identity("op-01"), outbox), world.identity("op-01")) as port,
        calling(world.identity("op-02"), "op-01", port) as peer,
    ):
        peer.request("GET", f"/blobs/{ROOT.hex()}", limit=len(DATA))
        peer.request("GET", f"/blobs/{other.hex()}", limit=5)
    outbox._ledger.save()
    ledger = SentLedger(tmp_path / "sent.json")
    ledger.add("op-03", "M", 7)
    ledger.save()
    assert SentLedger(tmp_path / "sent.json").totals() == {
        "N": {"op-02": len(DATA)},
        "M": {"op-02": 5, "op-03": 7},
    }


def test_labels_cannot_leave_the_outbox(outbox):
    for label in ("..", "", "a/b", ".N"):
        with pytest.raises(ValueError, match=r".*"):
            outbox.path(ROOT, label)


def test_a_blob_is_found_without_listing_directories(outbox, tmp_path, monkeypatch):
    late = outbox.path(bytes(32), "late")
    late.write_bytes(b"")
    again = Outbox(tmp_path / "outbox", SentLedger(tmp_path / "sent.json"))
    monkeypatch.setattr(os, "listdir", None)
    monkeypatch.setattr(os, "scandir", None)
    for box in (outbox, again):
        assert box.find(ROOT.hex()) == tmp_path / "outbox" / "N" / ROOT.hex()
        assert box.find(bytes(32).hex()) == late
        assert box.find(bytes(31).hex() + "01") is None


def test_the_ledger_writes_once_a_second_and_at_the_end(tmp_path):
    path, now = tmp_path / "sent.json", [100.0]
    ledger = SentLedger(path, lambda: now[0])
    ledger.add("op-02", "N", 1)
    assert not path.exists()
    now[0] += 1
    ledger.add("op-02", "N", 2)
    assert SentLedger(path).totals() == {"N": {"op-02": 3}}
    ledger.add("op-02", "N", 4)
    assert SentLedger(path).totals() == {"N": {"op-02": 3}}
    ledger.save()
    assert SentLedger(path).totals() == {"N": {"op-02": 7}}
    written = path.stat().st_mtime_ns, path.stat().st_ino
    ledger.save()
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == written


def test_a_port_in_use_is_reported_with_its_number(world):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        app = make_app(world.identity("op-01"))
        with pytest.raises(CeremonyError) as caught, serving(app, world.identity("op-01"), port):
            pytest.fail("two processes served one port")
    assert caught.value.code == "RF-RUN-002"
    assert str(port) in caught.value.next_step


async def echo(request):
    return web.Response(body=request[CALLER].encode() + b":" + await request.read())


async def bomb(_request):
    return web.Response(body=BOMB, headers={"Content-Encoding": "gzip"})


async def refuse(_request):
    raise CeremonyError("RF-LOG-001", "no such head")


@pytest.fixture
def board(world):
    connections = set()

    async def connection(request):
        connections.add(request.transport.get_extra_info("peername"))
        return web.Response(text=str(len(connections)))

    app = make_app(world.identity("coordinator"), largest_body=1000)
    app.router.add_post("/echo", echo)
    app.router.add_get("/refuse", refuse)
    app.router.add_get("/bomb", bomb)
    app.router.add_get("/connection", connection)
    with (
        serving(app, world.identity("coordinator")) as port,
        calling(world.identity("op-02"), "coordinator", port) as peer,
    ):
        yield peer


def test_added_routes_know_who_calls(board):
    assert board.request("POST", "/echo", b"head", limit=100) == b"op-02:head"


def test_a_coroutine_of_another_loop_can_call(board):
    assert asyncio.run(board.arequest("POST", "/echo", b"x", limit=100)) == b"op-02:x"


def test_a_refusal_of_a_handler_reaches_the_caller_with_its_code(board):
    with pytest.raises(RefusedRequestError, match="RF-PEER-008") as caught:
        board.request("GET", "/refuse", limit=1000)
    assert caught.value.status == 422
    assert "RF-LOG-001" in caught.value.found


def test_an_answer_over_the_limit_is_thrown_away(board):
    with pytest.raises(CeremonyError) as caught:
        board.request("POST", "/echo", b"123456", limit=11)
    assert caught.value.code == "RF-PEER-011"
    assert board.request("POST", "/echo", b"12345", limit=11) == b"op-02:12345"


def test_a_compressed_bomb_is_not_unpacked(board):
    assert board.request("GET", "/bomb", limit=len(BOMB)) == BOMB


def test_a_request_over_the_limit_is_refused(board):
    with pytest.raises(RefusedRequestError) as caught:
        board.request("POST", "/echo", bytes(1001), limit=1000)
    assert caught.value.status == 413


def test_connections_are_kept_and_used_again(board):
    answers = [board.request("GET", "/connection", limit=10) for _ in range(5)]
    assert answers == [b"1"] * 5


def test_sent_requests_are_counted(world, board, tmp_path):
    ledger = SentLedger(tmp_path / "requests.json")
    with PeerClient(world.identity("op-03"), patience=QUICK, ledger=ledger) as client:
        peer = client.peer("coordinator", board.host, board.port)
        peer.request("POST", "/echo", b"12345", limit=100)
    assert ledger.totals() == {"requests": {"coordinator": 5}}
