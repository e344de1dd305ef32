"""Fetching over several connections at once, over kept ones, and from whom it should not be."""

import asyncio
import socket
import threading

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.transport.bulk import HungUpError
from infra.transport.client import Patience
from infra.transport.fetch import fetch_blob
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox, make_app
from infra.transport.tls import Identity
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root
from tests.support.blobs import (
    DATA,
    FOUR,
    LEAF,
    ONCE,
    ROOT,
    Scripted,
    breaks_off_after,
    failure,
    fetch,
    leftovers,
)
from tests.support.transport import calling, serving


@pytest.fixture
def honest(world, tmp_path):
    box = Outbox(tmp_path / "outbox", SentLedger(tmp_path / "sent.json"))
    box.path(ROOT, "N").write_bytes(DATA)
    return make_app(world.identity("op-01"), box)


# -- several ranges at once -----------------------------------------------------------------------


def test_the_ranges_of_a_blob_are_fetched_at_once(world, target):
    scripted = Scripted(world)
    everybody = asyncio.Barrier(4)

    async def together(request):
        await everybody.wait()
        return scripted.answer(request)

    scripted.spoil = dict.fromkeys(range(4), together)
    fetch(world, scripted.app, target, FOUR)
    assert target.read_bytes() == DATA
    step = 19 * LEAF
    assert set(scripted.ranges) == {
        f"bytes=0-{step - 1}",
        f"bytes={step}-{2 * step - 1}",
        f"bytes={2 * step}-{3 * step - 1}",
        f"bytes={3 * step}-",
    }
    assert len(scripted.connections) == 4
    assert leftovers(target) == ["value"]


@pytest.mark.parametrize("size", [0, 1, LEAF, LEAF + 1, 3 * LEAF, 5 * LEAF + 7])
def test_blobs_of_few_leaves_arrive_in_as_many_ranges_as_they_have(world, target, size):
    data = DATA[:size]
    scripted = Scripted(world, data)
    with (
        serving(scripted.app, world.identity("op-01")) as port,
        calling(world.identity("op-02"), "op-01", port, FOUR) as peer,
    ):
        fetch_blob(peer, chunk_root(data, LEAF), size, LEAF, target)
    assert target.read_bytes() == data
    assert len(scripted.ranges) <= 4


def test_each_range_goes_on_where_it_was_lost(world, target):
    everybody = asyncio.Barrier(4)

    async def all_break_off(request):
        await everybody.wait()
        return await breaks_off_after(10_000)(request)

    scripted = Scripted(world, spoil=dict.fromkeys(range(4), all_break_off))
    fetch(world, scripted.app, target, FOUR)
    assert target.read_bytes() == DATA
    starts = sorted(int(header.split("=")[1].split("-")[0]) for header in scripted.ranges)
    step = 19 * LEAF
    assert starts == sorted(start + at for start in range(0, 4 * step, step) for at in (0, 10_000))


def test_ranges_that_arrived_are_not_asked_for_by_the_next_call(world, target):
    lost = Scripted(world, spoil=dict.fromkeys(range(100), breaks_off_after(5000)))
    assert failure(world, lost.app, target, FOUR) == "RF-PEER-007"
    kept = sum(path.stat().st_size for path in target.parent.iterdir())
    assert kept >= 5000
    again = Scripted(world)
    fetch(world, again.app, target, FOUR)
    assert target.read_bytes() == DATA
    assert leftovers(target) == ["value"]
    asked = 0
    for header in again.ranges:
        start, stop = header.removeprefix("bytes=").split("-")
        asked += (int(stop) + 1 if stop else len(DATA)) - int(start)
    assert asked == len(DATA) - kept


@pytest.mark.parametrize(
    ("data", "code"), [(DATA[:-1] + b"x", "RF-PEER-012"), (DATA[:-1], "RF-PEER-010")]
)
def test_ranges_of_another_blob_leave_nothing(world, target, data, code):
    assert failure(world, Scripted(world, data).app, target, FOUR) == code
    assert leftovers(target) == []


def test_the_whole_blob_is_no_answer_to_a_range(world, target):
    async def whole(_request):
        return web.Response(body=DATA)

    scripted = Scripted(world, spoil=dict.fromkeys(range(4), whole))
    assert failure(world, scripted.app, target, FOUR) == "RF-PEER-008"


def test_a_cancelled_activity_ends_all_ranges(world, target):
    released = threading.Event()

    class CancelledError(Exception):
        pass

    async def stalls(_request):
        await asyncio.to_thread(released.wait)
        return web.Response(body=b"")

    def tick():
        released.set()
        raise CancelledError

    scripted = Scripted(world, spoil=dict.fromkeys(range(1, 100), stalls))
    with pytest.raises(CancelledError):
        fetch(world, scripted.app, target, FOUR, tick=tick)
    assert not target.exists()


# -- connections ----------------------------------------------------------------------------------


def test_one_connection_serves_one_blob_after_the_other(world, tmp_path):
    scripted = Scripted(world)
    with (
        serving(scripted.app, world.identity("op-01")) as port,
        calling(world.identity("op-02"), "op-01", port) as peer,
    ):
        for number in range(5):
            fetch_blob(peer, ROOT, len(DATA), LEAF, tmp_path / f"{number}")
    assert len(scripted.ranges) == 5
    assert len(scripted.connections) == 1


def test_a_connection_that_the_peer_closed_meanwhile_is_not_used(world, honest, tmp_path):
    with calling(world.identity("op-02"), "op-01", 0, ONCE) as stub:
        with serving(honest, world.identity("op-01")) as port:
            peer = stub.client.peer("op-01", "127.0.0.1", port)
            fetch_blob(peer, ROOT, len(DATA), LEAF, tmp_path / "one")
        scripted = Scripted(world)
        with serving(scripted.app, world.identity("op-01"), port):
            fetch_blob(peer, ROOT, len(DATA), LEAF, tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == DATA


def test_an_answer_that_was_not_read_to_its_end_ends_its_connection(world, target):
    async def refuses(_request):
        return web.Response(status=500, body=bytes(100_000))

    scripted = Scripted(world, spoil={0: refuses})
    with (
        serving(scripted.app, world.identity("op-01")) as port,
        calling(world.identity("op-02"), "op-01", port) as peer,
    ):
        with pytest.raises(CeremonyError, match="RF-PEER-008"):
            fetch_blob(peer, ROOT, len(DATA), LEAF, target)
        fetch_blob(peer, ROOT, len(DATA), LEAF, target)
    assert target.read_bytes() == DATA
    assert len(scripted.connections) == 2


def test_a_client_that_is_closed_hangs_up_what_is_under_way(world, target):
    asked, released, ended = threading.Event(), threading.Event(), []

    async def stalls(_request):
        asked.set()
        await asyncio.to_thread(released.wait)
        return web.Response(body=b"")

    scripted = Scripted(world, spoil={0: stalls})
    with serving(scripted.app, world.identity("op-01")) as port:
        with calling(world.identity("op-02"), "op-01", port) as peer:

            def work():
                try:
                    fetch_blob(peer, ROOT, len(DATA), LEAF, target)
                except HungUpError:
                    ended.append(True)

            thread = threading.Thread(target=work)
            thread.start()
            asked.wait()
        thread.join()
        released.set()
    assert ended == [True]


# -- identities -----------------------------------------------------------------------------------


def test_a_blob_is_not_taken_from_another_member(world, honest, target):
    with (
        serving(honest, world.identity("op-01")) as port,
        calling(world.identity("op-02"), "op-03", port) as peer,
        pytest.raises(CeremonyError) as caught,
    ):
        fetch_blob(peer, ROOT, len(DATA), LEAF, target)
    assert (caught.value.code, caught.value.operator) == ("RF-PEER-003", "op-03")
    assert [error.code for error in world.refusals if error.operator == "op-03"] == ["RF-PEER-003"]


def test_a_blob_is_not_taken_from_a_foreign_key(world, honest, target):
    liar = Identity("op-01", Ed25519PrivateKey.generate(), world.members)
    with (
        serving(honest, liar) as port,
        calling(world.identity("op-02"), "op-01", port) as peer,
        pytest.raises(CeremonyError) as caught,
    ):
        fetch_blob(peer, ROOT, len(DATA), LEAF, target)
    assert caught.value.code == "RF-PEER-001"


def test_a_blob_is_not_given_to_a_foreign_key(world, honest, target):
    liar = Identity("op-02", Ed25519PrivateKey.generate(), world.members)
    with (
        serving(honest, world.identity("op-01")) as port,
        calling(liar, "op-01", port) as peer,
        pytest.raises(CeremonyError) as caught,
    ):
        fetch_blob(peer, ROOT, len(DATA), LEAF, target)
    assert caught.value.code == "RF-PEER-007"
    assert {error.code for error in world.refusals} == {"RF-PEER-001"}


def test_a_machine_that_speaks_no_tls_is_told_from_a_silent_one(world, target):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            caller, _ = server.accept()
            with caller:
                caller.sendall(b"220 mail.example ESMTP\r\n")
                caller.recv(65536)

        thread = threading.Thread(target=answer)
        thread.start()
        port = server.getsockname()[1]
        with (
            calling(world.identity("op-02"), "op-01", port) as peer,
            pytest.raises(CeremonyError) as caught,
        ):
            fetch_blob(peer, ROOT, len(DATA), LEAF, target)
        thread.join()
    assert caught.value.code == "RF-PEER-009"


def test_a_machine_that_hangs_in_the_handshake_is_given_up(world, target):
    beats = []
    patience = Patience(connect_seconds=1.2, attempts=1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with (
            calling(world.identity("op-02"), "op-01", port, patience) as peer,
            pytest.raises(CeremonyError) as caught,
        ):
            fetch_blob(peer, ROOT, len(DATA), LEAF, target, tick=lambda: beats.append(1))
    assert caught.value.code == "RF-PEER-013"
    assert beats


def test_a_machine_that_never_comes_to_an_answer_is_given_up(world, target):
    async def interim(request):
        while request.transport is not None and not request.transport.is_closing():
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await asyncio.sleep(0)

    scripted = Scripted(world, spoil={0: interim})
    patience = Patience(0.3, 0.3, least_bytes_per_second=1 << 30, attempts=1)
    assert failure(world, scripted.app, target, patience) == "RF-PEER-013"
