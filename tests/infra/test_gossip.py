"""Operators that talk to each other about the log, over pinned TLS."""

from __future__ import annotations

import asyncio
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from aiohttp import web

from infra.board import equivocation, strict, wire
from infra.board.copy import MemoryCopy
from infra.board.messages import MoveReply
from infra.board.notes import Checkpoint, Head, sign_head
from infra.board.replica import Replica
from infra.homes import Home
from infra.party import gossip
from infra.party.gossip_wiring import gossiper_of
from infra.party.neighbour import MOVE_PATH
from infra.transport.outbox import make_app, serve
from infra.transport.tls import Identity
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.entries import Answer, Close
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import DEPUTY, closing, key_of, move_request, opening_of, signed
from tests.support.neighbours import MEMBERS, PLAN, Member, checkpoint_over, house

LOG = [signed(number, PLAN, 1 + number % 4) for number in range(30)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(gossip, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(gossip, "LAG_SECONDS", 0.01)
    monkeypatch.setattr(gossip, "_FIRST_PAUSE", 0.01)


async def has(act):
    assert await asyncio.to_thread(act, 60)


async def test_an_operator_that_the_host_starves_gets_the_log_from_a_peer(tmp_path):
    async with house(tmp_path, 1, 2) as home:
        rich, poor = home.members[1], home.members[2]
        rich.replica.receive(0, LOG)
        rich.replica.cover(checkpoint_over(rich.replica, 20))
        await has(lambda seconds: poor.replica.wait_for_size(20, seconds))
        assert poor.replica.entries() == rich.replica.entries()


async def test_what_a_starved_operator_held_beside_the_log_makes_way(tmp_path):
    async with house(tmp_path, 1, 2) as home:
        rich, poor = home.members[1], home.members[2]
        poor.replica.receive(0, [LOG[0], signed(99, PLAN)])
        rich.replica.receive(0, LOG)
        rich.replica.cover(checkpoint_over(rich.replica, 20))
        await has(lambda seconds: poor.replica.wait_for_size(20, seconds))


async def test_a_peer_cannot_make_up_a_log(tmp_path):
    replica = Replica(PLAN, MemoryCopy())
    replica.receive(0, LOG[:5])
    other = Replica(PLAN, MemoryCopy())
    other.receive(0, [*LOG[:4], signed(99, PLAN)])
    for entries in ([*LOG[:4], signed(99, PLAN)], LOG[:4], LOG[:6]):
        with pytest.raises(CeremonyError, match="RF-LOG-032"):
            other.catch_up(entries, checkpoint_over(replica, 5))
    with pytest.raises(CeremonyError, match="RF-LOG-024"):
        other.catch_up(LOG[:5], Checkpoint(checkpoint_over(replica, 5).head, ()))
    assert other.held == 5
    other.catch_up(LOG[:5], checkpoint_over(replica, 5))
    assert other.entries() == replica.held_entries()


async def test_an_entry_that_the_host_suppresses_is_posted_by_others(tmp_path):
    async with house(tmp_path, 1, 2, talking=(1,)) as home:
        author, other = home.members[1], home.members[2]
        author.gossiper.spread(LOG[0])
        assert await other.pool.next() == LOG[0]
        assert other.submitted == []
        other.clock.now += 60
        await asyncio.to_thread(other.log.offer_again)
        assert other.submitted == [LOG[0]]


ANSWERED = Answer(BatchName("N", 0), bytes(32), 0, bytes(32), b"answer")
ANSWERS, ROOTS = f"answers/{bytes(32).hex()}/0", f"roots/{bytes(32).hex()}"


async def test_what_reached_an_operator_is_offered_before_it_signs_the_end_of_its_time(tmp_path):
    early = wire.sign_entry(ANSWERED, PLAN, 2, key_of(2))
    async with house(tmp_path, 1) as home:
        member = home.members[1]
        member.pool.receive(2, [early])
        for slot, lacking in ((ROOTS, 0), (ANSWERS, 1)):
            assert await asyncio.to_thread(member.log.hand_over, Close(slot)) == lacking
        assert member.submitted == [early]
        member.replica.receive(0, [early])
        assert await asyncio.to_thread(member.log.hand_over, Close(ANSWERS)) == 0


def wire_up(member, home):
    """Connect what a member has as an operator does."""
    gossiper_of(
        home,
        member.client,
        member.log,
        loop=member.loop,
        witness=member.witness,
        pool=member.pool,
    )


@pytest.mark.parametrize("left_behind", [True, False])
async def test_no_head_is_signed_over_the_end_of_a_time_that_leaves_an_entry_behind(
    tmp_path, left_behind
):
    early, end = wire.sign_entry(ANSWERED, PLAN, 2, key_of(2)), closing(ANSWERS, PLAN)
    log = [end] if left_behind else [early, end]
    async with house(tmp_path, 1) as home:
        member = home.members[1]
        wire_up(member, Home(tmp_path / "home"))
        member.pool.receive(2, [early])
        member.log.endorse(wire.body_of(Close(ANSWERS)))
        member.replica.receive(0, log)
        head = Head(0, len(log), member.replica.root(len(log)))
        with nullcontext() if early in log else pytest.raises(CeremonyError, match="RF-LOG-034"):
            member.witness.sign_head(head)
        assert (member.witness.state.signed == head) == (early in log)


async def test_messages_that_a_move_dropped_are_offered_to_the_new_host_and_statements_are_not(
    tmp_path,
):
    early, end = wire.sign_entry(ANSWERED, PLAN, 2, key_of(2)), closing(ANSWERS, PLAN)
    async with house(tmp_path, 1) as home:
        member = home.members[1]
        wire_up(member, Home(tmp_path / "home"))
        member.loop.entered(opening_of(PLAN, 1, host=DEPUTY), (early, end))
        member.clock.now += 60
        assert member.pool.due() == (early,)


async def test_a_host_that_is_away_does_not_stop_the_offers(tmp_path):
    async with house(tmp_path, 1) as home:
        member = home.members[1]
        member.pool.receive(2, LOG[:2])
        member.clock.now += 60
        member.refusal = "RF-PEER-007"
        await asyncio.to_thread(member.log.offer_again)
        assert member.submitted == [LOG[0]]
        member.refusal = None
        member.clock.now += 60
        await asyncio.to_thread(member.log.offer_again)
        assert member.submitted == [LOG[0], LOG[0], LOG[1]]


async def test_a_peer_that_hangs_delays_neither_the_author_nor_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(gossip, "QUEUE_BYTES", 2000)
    async with house(tmp_path, 1, 2, talking=(1,)) as home:
        held = asyncio.Event()

        async def hang(request):
            held.set()
            await asyncio.Event().wait()

        identity = Identity("op-03", key_of(3), MEMBERS)
        app = make_app(identity)
        app.add_routes([web.post(gossip.GOSSIP_PATH, hang)])
        async with serve(app, identity) as port:
            home.addresses[3] = SimpleNamespace(host="127.0.0.1", port=port)
            await asyncio.wait_for(held.wait(), 60)
            author, other = home.members[1], home.members[2]
            for entry in LOG:
                author.gossiper.spread(entry)
                assert await other.pool.next() == entry
            assert author.gossiper._lines[3].size <= 2000
            author.gossiper.stop()


async def test_two_histories_under_one_signature_are_kept_as_evidence(tmp_path):
    async with house(tmp_path, 1, 2, talking=(1,)) as home:
        watcher, liar = home.members[1], home.members[2]
        watcher.replica.receive(0, LOG[:5])
        ours = Head(0, 4, watcher.replica.root(4))
        watcher.gossiper._watch.saw(ours, sign_head(PLAN, ours, 2, key_of(2)))
        liar.replica.receive(0, [LOG[0], signed(99, PLAN)])
        liar.witness.sign_head(Head(0, 2, liar.replica.root(2)))
        await has(watcher.told.wait)
        ((signer, evidence),) = watcher.caught
        assert signer == equivocation.check_equivocation(PLAN, evidence) == 2


async def test_a_host_that_shows_two_logs_is_noticed_by_those_who_talk(tmp_path, monkeypatch):
    async with house(tmp_path, 1, 2, talking=(1,)) as home:
        said, noticed = [], threading.Event()

        def note(_, **facts):
            said.append(facts)
            noticed.set()

        monkeypatch.setattr(gossip._log, "error", note, raising=False)
        left, right = home.members[1], home.members[2]
        left.replica.receive(0, [LOG[0], signed(98, PLAN)])
        right.replica.receive(0, [LOG[0], signed(99, PLAN)])
        right.witness.sign_head(Head(0, 2, right.replica.root(2)))
        await has(noticed.wait)
        assert (said[0]["code"], said[0]["operator"]) == ("RF-LOG-035", "op-02")
        assert left.caught == []


async def test_an_operator_that_missed_a_move_learns_of_it_from_a_peer(tmp_path):
    async with house(tmp_path, 1, 2, talking=(2,)) as home:
        moved, away = home.members[1], home.members[2]
        opening = opening_of(PLAN, 1, host=DEPUTY)
        entered = threading.Event()
        away.loop.entered = lambda *_: entered.set()
        moved.loop.enter(opening)
        await has(entered.wait)
        assert away.witness.epoch == 1
        assert away.line.name == DEPUTY


# -- moves ----------------------------------------------------------------------------------------


async def ask(member, port, request):
    peer = member.client.peer("op-01", "127.0.0.1", port)
    data = await peer.arequest("POST", MOVE_PATH, strict.encode(request), limit=65536)
    return strict.decode(MoveReply, data)


async def test_an_operator_lets_the_board_move_over_tls_and_finds_the_new_host(tmp_path):
    async with house(tmp_path, 1, 2, talking=(2,)) as home:
        member = home.members[1]
        member.clock.now += 60
        reply = await ask(home.members[2], home.addresses[1].port, move_request(PLAN, 4, DEPUTY))
        assert reply.epoch == 4
        assert reply.statement.signer == 1
        assert (member.line.peer().name, member.line.peer().port) == (DEPUTY, 7000)
        bad = await ask(home.members[2], home.addresses[1].port, move_request(PLAN, 3))
        assert (bad.epoch, bad.statement, bad.refusal.code) == (4, None, "RF-LOG-029")


def test_a_host_under_which_the_log_grows_is_not_pushed_out(tmp_path):
    member = Member(1, tmp_path, {})
    try:
        step = PLAN.deadlines.step_seconds
        member.clock.now += step
        member.replica.receive(0, LOG)
        member.replica.cover(checkpoint_over(member.replica, 3))
        refused = member.neighbour.move(move_request(PLAN, 1, DEPUTY))
        assert refused.refusal.code == "RF-LOG-029"
        member.clock.now += step
        assert member.neighbour.move(move_request(PLAN, 1, DEPUTY)).statement
        assert member.neighbour.move(move_request(PLAN, 2)).refusal.code == "RF-LOG-029"
        assert member.neighbour.move(move_request(PLAN, 2, DEPUTY)).statement
        member.clock.now += step
        assert member.neighbour.move(move_request(PLAN, 3)).statement
    finally:
        member.client.close()


def test_the_host_itself_may_move_at_any_time(tmp_path):
    member = Member(1, tmp_path, {})
    try:
        member.replica.receive(0, LOG)
        member.replica.cover(checkpoint_over(member.replica, 3))
        assert member.neighbour.move(move_request(PLAN, 1)).statement
    finally:
        member.client.close()
