"""What operators decide together, and what it does to the ceremony (PROTOCOL.md, "Model")."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.governance.standing import Standing
from infra.governance.voting import listed
from mpc_core.protocol.entries import (
    Address,
    Close,
    Confirmation,
    Decision,
    KeySet,
    Rejoin,
    Summons,
    WriteOff,
)
from mpc_core.protocol.plan import DecisionRules
from mpc_core.protocol.statements import Due, NotYet, due_statement
from tests.support.ledger import RULES, Ledger, digest, make_plan

N0, N1, S0, M0, O0, O1 = (rule.key for rule in RULES)
RULES_OF_PLAN = DecisionRules(write_off=3, extension=3, pause=2, abort=4)


def plan(n=4, t=1, **rules):
    made = make_plan(n, t)
    return replace(
        made,
        decisions=replace(RULES_OF_PLAN, **rules),
        deadlines=replace(made.deadlines, extension_seconds=100),
    )


@pytest.fixture
def ledger():
    return Ledger(plan=plan()).set_up()


def say(ledger, what, operators, *, seconds=0, reason="", serial=None):
    """Post voices of these operators; return why the last is void."""
    void = None
    for operator in operators:
        number = len(ledger.state.decisions.taken) if serial is None else serial
        void = ledger.post(operator, Decision(what, number, seconds, reason))
    return void


def test_a_decision_is_taken_by_as_many_as_the_plan_demands_and_no_fewer(ledger):
    assert say(ledger, "pause", [1], reason="fire alarm") is None
    assert not ledger.state.decisions.is_paused
    assert say(ledger, "pause", [3]) is None
    assert ledger.state.decisions.is_paused
    (taken,) = ledger.state.decisions.taken
    assert taken.position == len(ledger.entries) - 1
    assert taken.voices == ((1, "fire alarm"), (3, ""))


def test_one_operator_has_one_voice(ledger):
    say(ledger, "pause", [1])
    assert say(ledger, "pause", [1], reason="again") == "the operator has said so already"
    assert not ledger.state.decisions.is_paused


def test_an_excluded_operators_voice_does_not_count(ledger):
    say(ledger, "pause", [4])
    ledger.state.members.excluded.add(4)
    assert say(ledger, "pause", [4]) == "the author is excluded"
    say(ledger, "pause", [1])
    assert not ledger.state.decisions.is_paused
    say(ledger, "pause", [2])
    assert ledger.state.decisions.taken[0].voices == ((1, ""), (2, ""))


def test_voices_lapse_when_something_else_is_decided(ledger):
    say(ledger, "abort", [1, 2, 3])
    say(ledger, "pause", [1, 2])
    assert say(ledger, "abort", [4], serial=0) == "another decision is the next one"
    assert say(ledger, "abort", [4]) is None
    assert ledger.state.decisions.abort is None


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (Decision("party", 0, 0, ""), "nobody can decide that"),
        (Decision("pause", 1, 0, ""), "another decision is the next one"),
        (Decision("pause", 0, 5, ""), "the plan allows no such extension"),
        (Decision("resume", 0, 0, ""), "the ceremony is not paused"),
        (Decision("extension", 0, 0, ""), "the plan allows no such extension"),
        (Decision("extension", 0, 101, ""), "the plan allows no such extension"),
        (Decision("pause", 0, 0, "x" * 281), "the reason is too long"),
        (Decision("pause", 0, 0, "\x1b[2J"), "the reason cannot be shown as it is"),
        (Decision("pause", 0, 0, "a\u202eb"), "the reason cannot be shown as it is"),
    ],
)
def test_what_cannot_be_decided_is_void(ledger, entry, why):
    assert ledger.post(1, entry) == why
    assert ledger.state.decisions.objection(2, entry) == why
    assert ledger.state.decisions.open == {}


def test_during_a_pause_no_statement_is_due_but_a_rejoin(ledger):
    ledger.share(N0, (1, 2, 3))
    slot = ledger.slot("roots", N0)
    assert isinstance(due_statement(ledger.state, Close.kind, slot), Due)
    say(ledger, "pause", [1, 2])
    assert isinstance(due_statement(ledger.state, Close.kind, slot), NotYet)
    subject = f"4/{digest('key').hex()}"
    assert isinstance(due_statement(ledger.state, Rejoin.kind, subject), Due)
    say(ledger, "resume", [3, 4])
    assert isinstance(due_statement(ledger.state, Close.kind, slot), Due)


def test_deadlines_start_anew_where_the_ceremony_went_on(ledger):
    ledger.share(N0, (1, 2, 3))
    slot = ledger.slot("roots", N0)
    before = due_statement(ledger.state, Close.kind, slot)
    say(ledger, "pause", [1, 2])
    say(ledger, "resume", [1, 2])
    after = due_statement(ledger.state, Close.kind, slot)
    assert before.since < ledger.state.decisions.resumed_at == after.since
    assert after.entry == before.entry


def test_a_pause_can_be_decided_again_and_ended_again(ledger):
    for _ in range(3):
        assert say(ledger, "pause", [1, 2]) is None
        assert say(ledger, "pause", [3]) == "the ceremony is paused already"
        assert say(ledger, "resume", [3, 4]) is None
        assert not ledger.state.decisions.is_paused
    assert len(ledger.state.decisions.taken) == 6


def test_extensions_are_added_to_the_waiting_time_within_the_buffer_of_the_plan(ledger):
    assert say(ledger, "extension", [1, 2, 3], seconds=60) is None
    assert ledger.state.deadlines.waiting_seconds == 62
    assert ledger.plan.deadlines.waiting_seconds == 2
    assert say(ledger, "extension", [1], seconds=41) == "the plan allows no such extension"
    assert say(ledger, "extension", [1, 2, 3], seconds=40) is None
    assert ledger.state.deadlines.waiting_seconds == 102


def test_voices_for_different_extensions_are_not_added_up(ledger):
    say(ledger, "extension", [1, 2], seconds=10)
    say(ledger, "extension", [3, 4], seconds=20)
    assert ledger.state.decisions.extension_seconds == 0


def test_after_an_abort_every_entry_is_void_and_nothing_is_due(ledger):
    ledger.share(N0, (1, 2, 3))
    assert say(ledger, "abort", [1, 2, 3, 4], reason="the plan is wrong") is None
    before = ledger.snapshot()
    why = "the ceremony was aborted"
    assert ledger.post(1, Address(0, "127.0.0.1", 4000)) == why
    assert ledger.post(1, Decision("resume", 1, 0, "")) == why
    assert ledger.state_by(Close(ledger.slot("roots", N0))) == why
    assert ledger.post(4, ledger.share_root(N0, 4)) == why
    assert ledger.snapshot() == before
    assert isinstance(due_statement(ledger.state, Close.kind, ledger.slot("roots", N0)), NotYet)


def test_after_the_announcement_there_is_nothing_left_to_decide(ledger):
    ledger.preprocess()
    ledger.seal()
    for key in (O0, O1):
        ledger.open(key)
    ledger.state_by(KeySet(digest("key set")))
    announcement = due_statement(ledger.state, "announcement", "").entry
    assert ledger.state_by(announcement) is None
    assert say(ledger, "abort", [1]) == "the key set is announced"


def test_a_write_off_needs_as_many_signatures_as_the_plan_demands():
    ledger = Ledger(7, 2, plan=plan(7, 2, write_off=6, pause=3)).set_up()
    others = (1, 2, 3, 4, 5, 6)
    ledger.share(N0, others)
    ledger.close(ledger.slot("roots", N0))
    ledger.decode(N0)
    ledger.vouch(N0, others)
    ledger.reply(N0, others)
    missing = tuple(o.slot for o in ledger.state.owed(7) if o.summonable)
    ledger.post(others, Summons(7, 0, missing))
    write_off = WriteOff(7, len(ledger.entries) - 1)
    assert ledger.post(others[:-1], write_off) == "fewer operators signed it than the plan demands"
    assert ledger.post(others, write_off) is None
    (shown,) = listed(ledger.plan, Standing.of(ledger.state))
    assert (shown.what, shown.needed) == ("write-off of op-07", 6)
    assert shown.signed_by == tuple(f"op-{at:02d}" for at in others)


def test_decisions_are_listed_with_who_signed_them_and_what_is_missing(ledger):
    say(ledger, "pause", [2, 4], reason="power cut")
    say(ledger, "extension", [1], seconds=30)
    taken, waiting = listed(ledger.plan, Standing.of(ledger.state))
    assert (taken.what, taken.signed_by, taken.needed) == ("pause", ("op-02", "op-04"), 2)
    assert taken.entry == ledger.state.decisions.taken[0].position
    assert "power cut" in taken.render()
    assert (waiting.entry, waiting.what) == (-1, "extension by 30 s")
    assert "signed by op-01 (1 of 3)" in waiting.render()


@given(
    st.lists(
        st.tuples(
            st.integers(1, 4),
            st.sampled_from(("pause", "resume", "extension", "abort", "else")),
            st.integers(0, 3),
            st.sampled_from((0, 30, 90)),
        ),
        max_size=40,
    )
)
@settings(max_examples=60, deadline=None)
def test_no_order_of_voices_decides_without_a_quorum(voices):
    ledger = Ledger(plan=plan())
    for operator, what, serial, seconds in voices:
        ledger.post(operator, Decision(what, serial, seconds, ""))
    decisions = ledger.state.decisions
    for taken in decisions.taken:
        assert len({operator for operator, _ in taken.voices}) >= decisions.quorum(taken.what)
    assert decisions.extension_seconds <= 100
    paused = [each.what for each in decisions.taken if each.what in ("pause", "resume")]
    assert paused == ["pause", "resume"] * (len(paused) // 2) + ["pause"] * (len(paused) % 2)
    aborts = [at for at, each in enumerate(decisions.taken) if each.what == "abort"]
    assert aborts in ([], [len(decisions.taken) - 1])


def test_a_confirmation_is_no_voice(ledger):
    void = ledger.post(1, Confirmation(2, "vector", *ledger.context(N0), 0))
    assert void is not None
    assert ledger.state.decisions.taken == []
