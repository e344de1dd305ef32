"""Direct calls: one short attempt, and the caller says which entries are missing."""

import socket
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from aiohttp import web

import infra.stores
from infra.board import strict
from infra.party.peers import OWED_PATH, PeerBook, owed_answer
from infra.shared import SharedOpenings
from infra.stores import BlobStore
from infra.transport.client import PeerClient
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox, make_app
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.entries import Acknowledgement, Address, Answer
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import board_plan
from tests.support.transport import QUICK, serving

PLAN = board_plan()
CONTEXT = bytes(range(32))
SLOTS = (f"answer/{CONTEXT.hex()}/0", "acknowledgement")
ANSWER = Answer(BatchName("N", 0), CONTEXT, 0, bytes(32), b"values")
LATER = Answer(BatchName("N", 0), CONTEXT, 1, bytes(32), b"values")
POSTED = {
    ANSWER: b"the answer",
    LATER: b"another round",
    Acknowledgement(5, (bytes(32),)): b"the acknowledgement",
    Address(0, "127.0.0.1", 1): b"an address",
}


@contextmanager
def book(world, port, *, tick=lambda: None, seconds=5.0, blobs=None, received=lambda *_: None):
    address = Address(0, "127.0.0.1", port)
    with PeerClient(world.identity("op-02"), patience=QUICK) as client:
        yield PeerBook(
            plan=PLAN,
            client=client,
            blobs=blobs,
            log=SimpleNamespace(read=lambda _: address, wake=lambda: None),
            host=lambda: client.peer("coordinator", "127.0.0.1", 0),
            tick=tick,
            received=received,
            direct_seconds=seconds,
        )


@contextmanager
def silent_machine():
    """Yield the port of a machine that accepts connections and says nothing, and its callers."""
    callers = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            try:
                while True:
                    callers.append(server.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1], callers
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    for caller in callers:
        caller.close()


def test_a_machine_that_hangs_is_called_once_and_for_a_short_time_with_heartbeats(world):
    beats = []
    with (
        silent_machine() as (port, callers),
        book(world, port, tick=lambda: beats.append(1), seconds=1.5) as peers,
    ):
        begun = time.monotonic()
        with pytest.raises(CeremonyError, match="RF-PEER-013"):
            peers.owed_entries(1, SLOTS)
        assert time.monotonic() - begun < 4
    assert len(callers) == 1
    assert beats


def test_an_operator_that_has_not_seen_the_summons_answers_what_the_call_names(world):
    app = make_app(world.identity("op-01"))

    async def owed(request):
        return web.Response(body=owed_answer(await request.read(), POSTED))

    app.router.add_post(OWED_PATH, owed)
    with serving(app, world.identity("op-01")) as port, book(world, port) as peers:
        assert set(peers.owed_entries(1, SLOTS)) == {b"the answer", b"the acknowledgement"}
        assert peers.owed_entries(1, ("kem-key", "")) == ()


def test_a_direct_answer_stays_below_its_limit(world):
    app = make_app(world.identity("op-01"))
    many = {
        Answer(BatchName("N", 0), CONTEXT, number, bytes(32), b""): bytes([number]) * 100_000
        for number in range(20)
    }

    async def owed(request):
        return web.Response(body=owed_answer(await request.read(), many))

    app.router.add_post(OWED_PATH, owed)
    slots = tuple(f"answer/{CONTEXT.hex()}/{number}" for number in range(20))
    with serving(app, world.identity("op-01")) as port, book(world, port) as peers:
        assert 0 < len(peers.owed_entries(1, slots)) < len(many)


@pytest.mark.parametrize("call", [b"", b"junk", strict.encode([1]), bytes(1 << 21)])
def test_a_call_that_cannot_be_read_is_refused(call):
    with pytest.raises(CeremonyError, match="RF-PEER-017"):
        owed_answer(call, POSTED)


def test_an_answer_that_cannot_be_read_counts_as_none(world):
    app = make_app(world.identity("op-01"))

    async def owed(_):
        return web.Response(body=b"junk")

    app.router.add_post(OWED_PATH, owed)
    with (
        serving(app, world.identity("op-01")) as port,
        book(world, port) as peers,
        pytest.raises(CeremonyError, match="RF-PEER-015"),
    ):
        peers.owed_entries(1, SLOTS)


def store_of(folder, shared=None):
    outbox = Outbox(folder / "outbox", SentLedger(folder / "sent.json"))
    return outbox, BlobStore(outbox, PLAN.layout.leaf_bytes, shared=shared)


@pytest.mark.parametrize("shared", [True, False])
def test_a_blob_comes_into_the_own_blobs_verified_and_only_openings_are_shared(
    world, tmp_path, monkeypatch, shared
):
    common = SharedOpenings(tmp_path / "shared")
    outbox, theirs = store_of(tmp_path / "op-01", common)
    _, ours = store_of(tmp_path / "op-02", common)
    staged, received = theirs.stage([b"value" * 1000]), []
    staged.keep("N", shared=shared)
    app = make_app(world.identity("op-01"), outbox)
    with (
        serving(app, world.identity("op-01")) as port,
        book(world, port, blobs=ours, received=lambda *what: received.append(what)) as peers,
    ):
        peers.fetch(1, staged.root, staged.size, "N", shared=shared)
    assert received == [("N", 5000)]
    assert outbox._ledger.totals() == {"N": {"op-02": 5000}}
    assert ours.path(staged.root, "N").samefile(theirs.path(staged.root, "N")) == shared
    assert any((tmp_path / "shared").iterdir()) == shared
    monkeypatch.setattr(infra.stores, "leaf_root", None)
    assert ours.read(staged.root) == b"value" * 1000
