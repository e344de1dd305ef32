"""What workflows are told: the log, seen through this party's clock."""

from __future__ import annotations

import dataclasses

import pytest

from infra.coordinator.views import batch_view, is_overdue, seal_view, setup_view
from mpc_core.protocol.entries import Return, Summons, WriteOff
from tests.support.ledger import RULES, Ledger

N0, N1, S0, M0, O0, O1 = (rule.key for rule in RULES)
STEP = Ledger().state.plan.deadlines.step_seconds


def at_once(position):
    return 0.0


def later(position):
    return STEP


@pytest.fixture
def ledger():
    return Ledger().set_up()


def batch(ledger, covered=at_once, key=N0):
    return batch_view(ledger.state, key, covered)


def test_a_batch_is_shown_step_by_step(ledger):
    steps = [batch(ledger).step]
    for act in (ledger.share, ledger.decode, ledger.vouch, ledger.reply):
        act(N0)
        steps.append(batch(ledger).step)
    assert steps == ["share", "decode", "answer", "answer", "settled"]


def test_nothing_is_closed_before_its_deadline(ledger):
    ledger.share(N0, (1, 2, 3))
    assert batch(ledger, at_once).close == ""
    assert batch(ledger, later).close == ledger.slot("roots", N0)


def test_too_few_roots_are_waited_for_without_a_deadline(ledger):
    ledger.share(N0, (1, 2))
    assert batch(ledger, later).close == ""


def test_a_deadline_that_runs_out_is_news(ledger):
    ledger.share(N0, (1, 2, 3))
    assert batch(ledger, at_once).version != batch(ledger, later).version


def test_entries_that_change_nothing_to_do_are_no_news(ledger):
    before = batch(ledger)
    ledger.share(N0, (1,))
    ledger.share(N1)
    assert batch(ledger).version == before.version


def test_the_deadline_of_a_round_doubles_with_every_round(ledger):
    ledger.share(N0)
    ledger.close(ledger.slot("round", N0, 0))
    slot = ledger.slot("round", N0, 1)
    assert not is_overdue(ledger.state, "close", slot, later)
    assert is_overdue(ledger.state, "close", slot, lambda _: 2 * STEP)
    assert batch(ledger).decoder == 2


def test_orders_go_to_nobody_who_is_absent(ledger):
    ledger.share(N0, (1, 2, 3))
    ledger.close(ledger.slot("roots", N0))
    assert batch(ledger).present == [1, 2, 3]
    ledger.post(4, Return(0))
    assert batch(ledger).present == [1, 2, 3, 4]


def test_a_settled_batch_asks_for_no_close(ledger):
    ledger.share(N0, (1, 2, 3))
    ledger.close(ledger.slot("roots", N0))
    ledger.decode(N0)
    ledger.vouch(N0, (1, 2, 3))
    ledger.reply(N0, (1, 2, 3))
    view = batch(ledger, later)
    assert (view.step, view.close, str(view.state)) == ("settled", "", "provisional")


def test_the_seal_waits_for_every_batch(ledger):
    assert not seal_view(ledger.state, at_once).ready
    ledger.preprocess()
    view = seal_view(ledger.state, at_once)
    assert (view.ready, view.sealed, view.silent, view.owing) == (True, False, [], [])
    ledger.seal()
    assert seal_view(ledger.state, at_once).sealed


def without_4(ledger):
    ledger.share(N0, (1, 2, 3))
    ledger.close(ledger.slot("roots", N0))
    ledger.decode(N0)
    ledger.vouch(N0, (1, 2, 3))
    ledger.reply(N0, (1, 2, 3))


def test_who_is_absent_and_owes_is_silent_then_summoned_then_gone(ledger):
    without_4(ledger)
    view = seal_view(ledger.state, at_once)
    assert (view.owing, view.silent, view.summoned) == ([], [4], [])
    missing = tuple(sorted(ledger.state.summonable(4)))
    at = ledger.state.size
    assert ledger.state_by(Summons(4, 0, missing)) is None
    assert seal_view(ledger.state, at_once).summoned == [4]
    assert ledger.state_by(WriteOff(4, at)) is None
    assert seal_view(ledger.state, at_once).silent == []


def test_who_returns_owes_and_is_not_silent(ledger):
    without_4(ledger)
    ledger.post(4, Return(0))
    view = seal_view(ledger.state, at_once)
    assert (view.owing, view.silent) == ([4], [])


def test_a_sealed_setup_is_shown_as_sealed(ledger):
    view = setup_view(ledger.state, later)
    assert (view.phase, view.slot, view.ready, view.silent) == ("sealed", "", False, [])


def test_a_view_is_small():
    view = setup_view(Ledger(13, 4).state, later)
    assert len(repr(dataclasses.asdict(view))) < 400
