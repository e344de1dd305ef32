"""A coordinator gives no order during a pause, and none after an abort."""

from __future__ import annotations

from dataclasses import replace

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from infra.coordinator.activities import CoordinatorActivities
from infra.coordinator.process import stopped
from mpc_core.protocol.entries import Decision
from mpc_core.protocol.plan import DecisionRules
from tests.support.ledger import Ledger, make_plan
from workflows.contracts import Draft

PLAN = replace(make_plan(), decisions=DecisionRules(3, 3, 2, 2))
ORDERS = {
    "sign_step": lambda of: (of.sign_step, "catch_up"),
    "observe_batch": lambda of: (of.observe_batch, ["N", 0, -1]),
    "observe_setup": lambda of: (of.observe_setup, -1),
    "observe_seal": lambda of: (of.observe_seal, -1),
    "present_operators": lambda of: (of.present_operators, None),
    "draft_statement": lambda of: (of.draft_statement, Draft("setup-seal", "", "draft")),
}


class Log:
    """A log that is looked at without waiting."""

    def __init__(self, ledger):
        self.ledger = ledger

    def read(self, question):
        return question(self.ledger.state)

    def wait_a_while(self, question, _):
        return question(self.ledger.state)

    def seconds_since_covered(self, _):
        return 0.0


@pytest.fixture
def ledger():
    return Ledger(plan=PLAN).set_up()


def decide(ledger, what):
    serial = len(ledger.state.decisions.taken)
    for operator in (1, 2):
        assert ledger.post(operator, Decision(what, serial, 0, "")) is None


def coordinator(ledger):
    return CoordinatorActivities(
        plan=PLAN,
        log=Log(ledger),
        sign_order=lambda line: line,
        key_set=None,
        fetch_unknown=lambda: None,
        hold=lambda: 0,
        release=lambda: None,
    )


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_waits_until_the_operators_resume(ledger, name):
    decide(ledger, "pause")
    waited = []

    def beat(*_):
        waited.append(ledger.state.decisions.is_paused)
        decide(ledger, "resume")

    environment = ActivityEnvironment()
    environment.on_heartbeat = beat
    assert environment.run(*ORDERS[name](coordinator(ledger))) is not None
    assert waited == [True]


@pytest.mark.parametrize("name", ORDERS)
def test_after_an_abort_nothing_is_ordered_and_nothing_tried_again(ledger, name):
    decide(ledger, "abort")
    with pytest.raises(ApplicationError) as caught:
        ActivityEnvironment().run(*ORDERS[name](coordinator(ledger)))
    assert caught.value.type == "RF-GOVERN-007"
    assert caught.value.non_retryable
    assert "op-01, op-02" in str(caught.value)


def test_people_are_told_that_it_was_aborted_and_where_to_read_on():
    error = stopped(ApplicationError("RF-GOVERN-007  aborted by op-01", type="RF-GOVERN-007"))
    assert (error.code, error.runbook) == ("RF-GOVERN-007", "governance")
    assert "op-01" in error.found
