"""What operators do without an order: what is open again after it was settled, or owed besides."""

from activities.catch_up import owed_unordered
from mpc_core.protocol.batch import next_step
from mpc_core.protocol.entries import Return
from tests.support.ledger import RULES, Ledger

N0, _, S0, M0, *_ = (rule.key for rule in RULES)


def unordered(ledger, operator):
    found = owed_unordered(ledger.state, operator)
    return {(item.kind, item.batch.stage, item.round) for item in found}


def test_what_the_workflow_of_a_batch_orders_is_not_done_unasked():
    ledger = Ledger().set_up()
    ledger.share(N0)
    ledger.decode(N0)
    assert ledger.state.owed(4)
    assert unordered(ledger, 4) == set()


def test_answers_are_owed_in_a_round_that_no_longer_holds_and_given_unasked():
    """Found by seed 930032: round 0 came to hold after round 1 had been opened in its place."""
    ledger = Ledger().set_up()
    ledger.share(N0)
    ledger.decode(N0)
    assert ledger.close(ledger.slot("round", N0, 0)) is None
    ledger.decode(N0)
    ledger.vouch(N0)
    ledger.reply(N0, round_number=0)
    ledger.reply(N0, (1, 2, 3), round_number=1)
    assert ledger.state.opening(N0).held == 0
    assert next_step(ledger.status(N0)) == "settled"
    assert unordered(ledger, 4) == {("answer", "N", 1)}


def test_a_refuted_batch_is_opened_again_unasked():
    """Found by seed 30048: a late answer showed that the value of key bits was wrong."""
    ledger = Ledger().set_up()
    ledger.share(S0)
    ledger.decode(S0, v="wrong")
    ledger.vouch(S0, v="wrong")
    ledger.reply(S0)
    assert ledger.status(S0).failed
    assert ledger.close_refuted(S0) is None
    decoder = ledger.status(S0).decoder
    assert unordered(ledger, decoder) == {("decoded", "S", 1)}


def test_what_nobody_could_do_while_a_batch_waited_for_another_one_is_done_unasked():
    ledger = Ledger().set_up()
    ledger.share(S0)
    ledger.decode(S0)
    ledger.vouch(S0)
    ledger.reply(S0, (2, 3, 4))
    ledger.share(M0, (1, 2, 3))
    assert unordered(ledger, 4) == set()
    ledger.reply(S0, (1,), lie=1)
    assert ledger.state.opening(M0) is None
    ledger.exclude(S0, 1)
    assert unordered(ledger, 4) == {("root", "M", 0)}


def test_a_batch_that_lacks_answers_after_an_exclusion_is_answered_unasked():
    """Found by seed 1001766: it was settled without who was away, and is no more."""
    ledger = Ledger().set_up()
    ledger.share(N0)
    ledger.decode(N0)
    ledger.vouch(N0)
    ledger.reply(N0, (1, 2, 3))
    assert ledger.close(ledger.slot("answers", N0, 0)) is None
    assert next_step(ledger.status(N0)) == "settled"
    ledger.open(S0, (1, 2, 3))
    ledger.exclude(S0, 1)
    assert ledger.post(4, Return(0)) is None
    assert ledger.state.opening(N0).held is None
    assert ("answer", "N", 0) in unordered(ledger, 4)
