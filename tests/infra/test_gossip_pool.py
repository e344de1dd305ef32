"""What an operator does with entries that reach it directly: the slot rule, and its bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.board import wire
from infra.board.copy import MemoryCopy
from infra.board.notes import Checkpoint, Head, sign_certificate, sign_head
from infra.board.replica import Replica
from infra.party import gossip_pool
from infra.party.gossip_pool import EntryPool
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.entries import Address, Answer, Close, Have, Root, Seal
from mpc_core.protocol.slots import comes_too_late_after
from tests.support.board import board_plan, closing, key_of, signed, statement

PLAN = board_plan()
BATCH, CONTEXT, OTHER = BatchName("N", 0), bytes(32), bytes(31) + b"\1"
HERE = 1
SLOT = f"answers/{CONTEXT.hex()}/0"


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def replica():
    return Replica(PLAN, MemoryCopy())


@pytest.fixture
def pool(replica, clock):
    return EntryPool(replica, clock, HERE)


def answer(author, number=0, context=CONTEXT, turn=0):
    entry = Answer(BATCH, context, turn, bytes(32), number.to_bytes(4, "big"))
    return wire.sign_entry(entry, PLAN, author, key_of(author))


def root_of(author):
    return wire.sign_entry(Root(BATCH, CONTEXT, bytes(32)), PLAN, author, key_of(author))


def put(replica, *envelopes):
    replica.receive(replica.held, envelopes)


def cover(replica):
    head = Head(0, replica.held, replica.root(replica.held))
    replica.cover(
        Checkpoint(
            head,
            tuple(sign_head(PLAN, head, at, key_of(at)) for at in (1, 2, 3)),
            tuple(sign_certificate(PLAN, head, at, key_of(at)) for at in (1, 2, 3)),
        )
    )


def objection(pool, replica):
    return pool.objection(replica.held_entries(replica.covered_size))


def test_what_the_log_covers_is_forgotten_unread(pool, replica):
    pool.receive(2, [signed(1, PLAN, 2), signed(2, PLAN, 2), b"no entry"])
    assert len(pool) == 3
    put(replica, signed(1, PLAN, 2))
    assert len(pool) == 3
    cover(replica)
    assert len(pool) == 2
    pool.receive(3, [signed(1, PLAN, 2)])
    assert len(pool) == 2


def test_what_the_log_does_not_take_is_offered_again_and_again(pool, replica, clock):
    late = signed(1, PLAN, 2)
    pool.receive(2, [late])
    assert pool.due() == ()
    clock.now += gossip_pool.PATIENCE_SECONDS
    assert pool.due() == (late,)
    pool.answered(late, 7)
    assert pool.due() == ()
    clock.now += gossip_pool.PATIENCE_SECONDS
    assert pool.due() == (late,)
    put(replica, late)
    assert pool.due() == ()


def test_what_is_no_entry_is_never_offered(pool, clock):
    forged = wire.assemble(
        wire.body_of(Address(0, "h", 1)), [wire.Endorsement(2, wire.ED25519, bytes(64))]
    )
    pool.receive(2, [b"\x80", forged, signed(1, replace(PLAN, hash=bytes(32)), 2)])
    clock.now += gossip_pool.PATIENCE_SECONDS
    assert pool.due() == ()
    assert len(pool) == 0


def test_one_sender_cannot_fill_the_memory_of_another_operator(pool, monkeypatch):
    monkeypatch.setattr(gossip_pool, "MOST_ENTRIES", 5)
    pool.receive(2, [signed(number, PLAN, 2) for number in range(50)])
    assert len(pool) == 5
    pool.receive(3, [signed(number, PLAN, 3) for number in range(2)])
    assert len(pool) == 7
    monkeypatch.setattr(gossip_pool, "MOST_BYTES", 500)
    pool.receive(4, [signed(number, PLAN, 4) for number in range(50)])
    assert 7 < len(pool) < 12
    pool.receive(1, [bytes(PLAN.limits.entry_bytes + 1)])
    assert 7 < len(pool) < 12


def test_a_close_is_not_endorsed_before_the_entries_received_stand_on_the_log(pool, replica):
    mine, other = answer(2), answer(2, context=OTHER)
    pool.receive(2, [mine, other, answer(2, turn=1), root_of(2)])
    assert pool.demands(Close(SLOT)) == (mine,)
    assert pool.demands(Close(f"roots/{CONTEXT.hex()}")) == (root_of(2),)
    put(replica, mine)
    assert pool.demands(Close(SLOT)) == ()


def test_a_head_over_a_close_needs_what_came_before_it_was_endorsed(pool, replica, clock):
    early, late = answer(2), answer(3)
    pool.receive(2, [early])
    pool.endorsed(Close(SLOT))
    clock.now += 1
    pool.receive(3, [late])
    put(replica, closing(SLOT, PLAN))
    assert "op-02" in objection(pool, replica)
    assert "op-03" not in objection(pool, replica)


def test_entries_before_the_close_satisfy_the_rule_and_entries_after_it_do_not(pool, replica):
    early = answer(2)
    pool.receive(2, [early])
    pool.endorsed(Close(SLOT))
    put(replica, early, closing(SLOT, PLAN))
    assert objection(pool, replica) == ""
    other = Replica(PLAN, MemoryCopy())
    again = EntryPool(other, Clock(), HERE)
    again.receive(2, [early])
    again.endorsed(Close(SLOT))
    put(other, closing(SLOT, PLAN), early)
    assert "op-02" in objection(again, other)


def test_a_host_that_breaks_its_promise_or_refuses_a_valid_entry_gets_no_signature(pool, replica):
    promised, refused, late, busy = answer(1), answer(2), answer(3), answer(4)
    pool.receive(9, [promised, refused, late, busy])
    pool.answered(promised, 0)
    pool.demands(Close(SLOT))
    pool.answered(refused, None, "RF-LOG-004")
    pool.answered(late, 5)
    pool.answered(busy, None, "RF-LOG-010")
    put(replica, signed(1, PLAN), closing(SLOT, PLAN))
    assert objection(pool, replica) == "no entry of op-01, op-02 before entry 1"


def test_an_honest_host_is_refused_no_signature_whatever_overtakes_what(pool, replica):
    overtaken = answer(2)
    pool.receive(2, [overtaken])
    put(replica, closing(SLOT, PLAN))
    assert objection(pool, replica) == ""
    pool.answered(overtaken, 1)
    assert objection(pool, replica) == ""


def test_an_order_to_endorse_that_comes_again_makes_no_later_entry_in_time(pool, replica, clock):
    """Its first signature closed the slot already; the entry came between the two orders."""
    between = answer(2)
    pool.endorsed(Close(SLOT))
    clock.now += 1
    pool.receive(2, [between])
    put(replica, closing(SLOT, PLAN), between)
    assert pool.demands(Close(SLOT)) == ()
    pool.endorsed(Close(SLOT))
    assert objection(pool, replica) == ""


def test_whoever_was_not_needed_for_a_close_makes_no_demands_on_it(pool, replica):
    """Three others closed the slot; the entry and the order came here later."""
    late = answer(2)
    put(replica, closing(SLOT, PLAN, (2, 3, 4)), late)
    pool.receive(2, [late])
    assert pool.demands(Close(SLOT)) == ()
    pool.endorsed(Close(SLOT))
    assert objection(pool, replica) == ""


def test_a_new_host_is_held_to_no_promise_of_the_old_one(pool, replica):
    early = answer(2)
    pool.receive(2, [early])
    pool.endorsed(Close(SLOT))
    pool.answered(early, 0)
    put(replica, closing(SLOT, PLAN))
    assert objection(pool, replica)
    pool.moved()
    assert objection(pool, replica) == ""


def test_a_seal_waits_for_whatever_may_touch_a_batch(pool, replica):
    blame_like, chatter = answer(2), wire.sign_entry(Address(0, "h", 1), PLAN, 2, key_of(2))
    have = wire.sign_entry(Have(BATCH, CONTEXT, bytes(32)), PLAN, 2, key_of(2))
    pool.receive(2, [blame_like, chatter, have])
    assert pool.demands(Seal(0, bytes(32))) == (blame_like,)
    put(replica, signed(1, PLAN), blame_like)
    assert pool.demands(Seal(1, bytes(32))) == (blame_like,)
    assert pool.demands(Seal(2, bytes(32))) == ()


def test_a_head_over_a_seal_that_leaves_an_entry_behind_is_refused(pool, replica):
    answered = answer(2)
    pool.receive(2, [answered])
    seal = Seal(0, bytes(32))
    pool.endorsed(seal)
    put(replica, statement(seal, PLAN, (1, 2, 3)))
    assert "op-02" in objection(pool, replica)


def test_an_author_that_chatters_puts_a_seal_off_a_few_times_only(pool, replica):
    honest = answer(3)
    pool.receive(3, [honest])
    delays = 0
    for number in range(100):
        pool.receive(2, [new := answer(2, number)])
        lacking = pool.demands(Seal(replica.held, bytes(32)))
        delays += new in lacking
        put(replica, *(each for each in lacking if each != honest))
        assert honest in lacking
    assert delays == gossip_pool.MOST_DELAYS_OF_A_SEAL


def test_one_chatterer_cannot_use_up_the_delays_of_another_author(pool, replica):
    for number in range(20):
        pool.receive(2, [answer(2, number)])
        put(replica, *pool.demands(Close(SLOT)))
    pool.receive(3, [late := answer(3)])
    assert pool.demands(Close(SLOT)) == (late,)


def test_statements_are_never_demanded(pool):
    pool.receive(2, [closing(SLOT, PLAN)])
    assert pool.demands(Seal(0, bytes(32))) == ()


@pytest.mark.parametrize("slot", ["", "answers", "nonsense/1", f"answers/{CONTEXT.hex()}"])
def test_a_slot_that_names_nothing_ends_no_time(slot):
    assert not comes_too_late_after(Close(slot), Answer(BATCH, CONTEXT, 0, b"", b""))
