"""Who lost its state is let in again by n-t others (PROTOCOL.md, "Recovery and destruction")."""

from __future__ import annotations

import pytest

from mpc_core.protocol.entries import Rejoin
from mpc_core.protocol.statements import Done, Due, NotYet, due_statement
from tests.support.ledger import Ledger, digest

KEY = digest("new key")


@pytest.fixture
def ledger():
    return Ledger()


def test_n_minus_t_others_let_an_operator_in_again(ledger):
    assert ledger.state_by(Rejoin(2, 0, KEY), without=(2,)) is None
    assert ledger.state.members.rejoins == {2: Rejoin(2, 0, KEY)}


@pytest.mark.parametrize("missing", [1, 3, 4])
def test_the_operator_that_forgot_does_not_vouch_for_itself(ledger, missing):
    reason = ledger.state_by(Rejoin(2, 0, KEY), without=(missing,))
    assert reason == "fewer than n-t others signed it"
    assert not ledger.state.members.rejoins


def test_every_rejoin_is_another_one(ledger):
    ledger.state_by(Rejoin(2, 0, KEY), without=(2,))
    assert ledger.state_by(Rejoin(2, 0, digest("other")), without=(2,)) is not None
    assert ledger.state_by(Rejoin(2, 2, digest("other")), without=(2,)) is not None
    assert ledger.state_by(Rejoin(2, 1, digest("other")), without=(2,)) is None
    assert ledger.state.members.rejoins[2].key == digest("other")


@pytest.mark.parametrize("entry", [Rejoin(0, 0, KEY), Rejoin(5, 0, KEY), Rejoin(2, 0, KEY[1:])])
def test_a_rejoin_names_an_operator_and_a_key(ledger, entry):
    assert ledger.state_by(entry) is not None
    assert not ledger.state.members.rejoins


def test_an_excluded_operator_neither_rejoins_nor_lets_in(ledger):
    ledger.state.members.excluded.add(3)
    assert ledger.state_by(Rejoin(3, 0, KEY), without=(3,)) is not None
    assert ledger.state_by(Rejoin(2, 0, KEY), without=(2,)) is not None
    assert isinstance(due_statement(ledger.state, "rejoin", f"3/{KEY.hex()}"), NotYet)


def test_a_rejoin_is_due_once_for_a_key(ledger):
    subject = f"2/{KEY.hex()}"
    assert due_statement(ledger.state, "rejoin", subject) == Due(Rejoin(2, 0, KEY))
    ledger.state_by(Rejoin(2, 0, KEY), without=(2,))
    assert due_statement(ledger.state, "rejoin", subject) == Done()
    again = due_statement(ledger.state, "rejoin", f"2/{digest('other').hex()}")
    assert again == Due(Rejoin(2, 1, digest("other")))
