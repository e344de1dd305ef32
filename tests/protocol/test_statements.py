"""Deadlines and statements that nobody can push back, use up or abuse."""

import pytest

from mpc_core.protocol.entries import Address, Close, Correction, KemKey, Return, Root
from mpc_core.protocol.statements import Done, Due, due_statement
from tests.support.ledger import Ledger, digest

N0 = ("N", 0)


@pytest.fixture
def ledger():
    return Ledger().set_up()


def _provisional(ledger):
    """Let everybody but operator 4 open a batch; return the slot of its missing answer."""
    ledger.share(N0)
    ledger.decode(N0)
    ledger.vouch(N0, (1, 2, 3))
    ledger.reply(N0, (1, 2, 3))
    return f"answers/{ledger.status(N0).context}/0"


def test_who_returns_and_falls_silent_again_can_be_closed_again(ledger):
    slot = _provisional(ledger)
    first = due_statement(ledger.state, "close", slot)
    assert ledger.state_by(first.entry) is None
    assert ledger.post(4, Return(0)) is None
    returned_at = len(ledger.entries) - 1
    again = due_statement(ledger.state, "close", slot)
    assert again.entry == Close(slot, 1)
    assert again.entry != first.entry
    assert again.since == returned_at
    assert again.seconds(ledger.plan.deadlines) > first.seconds(ledger.plan.deadlines)
    assert ledger.state_by(again.entry) is None
    assert ledger.state.members.absent == {4}


def test_a_close_with_another_serial_is_void(ledger):
    slot = _provisional(ledger)
    assert ledger.state_by(Close(slot, 1)) == "another close is the next one"


def test_a_round_that_only_waits_for_answers_is_not_due_to_be_closed(ledger):
    ledger.share(N0)
    ledger.decode(N0)
    ledger.vouch(N0)
    ledger.reply(N0, (1, 2))
    context = ledger.status(N0).context
    assert isinstance(due_statement(ledger.state, "close", f"round/{context}/0"), Done)


@pytest.mark.parametrize("v", ["v", "forged"])
def test_the_deadline_of_a_later_round_runs_from_the_close_that_opened_it(ledger, v):
    ledger.share(N0)
    if v == "forged":
        ledger.decode(N0, v=v)
        ledger.vouch(N0, v=v)
        ledger.reply(N0)
        assert ledger.close_refuted(N0) is None
    else:
        assert ledger.close(ledger.slot("round", N0, 0)) is None
    opened_at = len(ledger.entries) - 1
    due = due_statement(ledger.state, "close", ledger.slot("round", N0, 1))
    assert (due.since, due.repetition) == (opened_at, 1)


def test_void_roots_move_no_deadline(ledger):
    ledger.share(N0, (1, 2, 3))
    slot = f"roots/{ledger.status(N0).context}"
    before = due_statement(ledger.state, "close", slot)
    name, context = ledger.context(N0)
    assert ledger.post(3, Root(name, context, digest("another"))) is not None
    after = due_statement(ledger.state, "close", slot)
    assert isinstance(before, Due)
    assert after.since == before.since


def test_new_kem_keys_move_no_deadline_of_the_contributions():
    ledger = Ledger()
    ledger.kem_keys()
    ledger.contribute(without=(4,))
    before = due_statement(ledger.state, "close", "contributions/0")
    assert ledger.post(3, KemKey(digest("another key"))) is None
    assert due_statement(ledger.state, "close", "contributions/0") == before
    assert before.since >= 0


def test_a_kem_key_after_the_complaints_changes_no_key(ledger):
    sources = [ledger.state.setup.sources(members) for members in ledger.state.setup.asked[0]]
    assert ledger.post(3, KemKey(digest("late key"))) == "all keys are fixed"
    assert [
        ledger.state.setup.sources(members) for members in ledger.state.setup.asked[0]
    ] == sources


def test_a_correction_after_the_seal_stops_nothing(ledger):
    ledger.preprocess()
    assert ledger.seal() is None
    ledger.share(("O", 0))
    assert ledger.post(3, Correction(*ledger.context(("O", 0)))) == "it is sealed"
    assert ledger.state.contradictions == ()


@pytest.mark.parametrize(
    "host", ["a..b", "x" * 70, "", "-a.example", "http://x", "a b", "ä.example"]
)
def test_an_address_where_nobody_can_be_called_is_void(ledger, host):
    assert ledger.post(2, Address(0, host, 443)) == "nobody can be called there"


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_port_that_does_not_exist_is_void(ledger, port):
    assert ledger.post(2, Address(0, "operator.example", port)) == "nobody can be called there"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "op-02.operators.example", "localhost"])
def test_addresses_and_names_are_taken(ledger, host):
    assert ledger.post(2, Address(0, host, 65_535)) is None


def test_nobody_waits_for_a_summons_of_who_came_back(ledger):
    _provisional(ledger)
    slot = ledger.slot("answers", ("N", 0), 0)
    assert ledger.close(slot) is None
    assert isinstance(due_statement(ledger.state, "summons", "4"), Due)
    assert ledger.post(4, Return(0)) is None
    assert due_statement(ledger.state, "summons", "4") == Done("returned")
