"""Orders: what the coordinator of this plan did not sign, word for word, is not carried out."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import threading

import pytest
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import ActivityEnvironment

from activities import orders as orders_module
from activities.orders import OperatorActivities, batch_line, statement_line, step_line
from infra.board import wire
from mpc_core.protocol.entries import Close
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import board_plan, key_of
from workflows.contracts import BatchOrder, Draft, StepOrder

PLAN = board_plan()
OTHER_PLAN = hashlib.sha256(b"another plan").digest()
COORDINATOR_KEY = key_of(0)
BODY = wire.body_of(Close("complaints"))
SECRET = "5ec2e7" * 8


class Recorder:
    """Steps that note what is done."""

    def __init__(self, error=None):
        self.operator = dataclasses.make_dataclass("Seat", ["index"])(3)
        self.done = []
        self.error = error
        self.aborted = False

    def _note(self, *what):
        self.done.append(what)
        if self.error is not None:
            raise self.error

    def share(self, key):
        self._note("share", key)

    def decode(self, key, number):
        self._note("decode", key, number)

    def answer(self, key, number):
        self._note("answer", key, number)

    def step(self, name):
        self._note("step", name)

    def catch_up(self):
        self._note("catch up")

    def objection(self, entry):
        self._note("asked", entry)
        return ""

    def wait_for_resumption(self):
        if self.aborted:
            raise CeremonyError("RF-GOVERN-007", "the ceremony was aborted by its operators")


def offered(steps):
    def sign(body):
        steps.done.append(("signed", body))
        return b"signature"

    return OperatorActivities(
        steps=steps,
        open_order=lambda data: wire.open_order(data, PLAN.hash, PLAN.coordinator_key),
        read_statement=wire.entry_of,
        sign=sign,
    )


def envelope(line, *, key=COORDINATOR_KEY, plan_hash=PLAN.hash):
    return base64.b64encode(wire.sign_order(line, plan_hash, key)).decode()


def orders(sign):
    """Return every activity's name and argument, with an envelope that `sign` makes of its line."""
    return {
        "share": BatchOrder("N", 7, sign(batch_line("N", 7))),
        "decode": BatchOrder("N", 7, sign(batch_line("N", 7)), 2),
        "answer": BatchOrder("N", 7, sign(batch_line("N", 7)), 3),
        "step": StepOrder("secure", sign(step_line("secure"))),
        "endorse": Draft(
            "close",
            "complaints",
            "draft",
            base64.b64encode(BODY).decode(),
            sign(statement_line(BODY)),
        ),
    }


def run(name, order, steps):
    return ActivityEnvironment().run(getattr(offered(steps), name), order)


def refused(name, order):
    steps = Recorder()
    with pytest.raises(ApplicationError) as caught:
        run(name, order, steps)
    assert steps.done == []
    return caught.value


NAMES = tuple(orders(envelope))


@pytest.mark.parametrize("name", NAMES)
def test_an_order_of_the_coordinator_is_carried_out(name):
    steps = Recorder()
    run(name, orders(envelope)[name], steps)
    expected = {
        "decode": [("decode", ("N", 7), 2)],
        "answer": [("answer", ("N", 7), 3)],
        "step": [("step", "secure")],
        "endorse": [("asked", Close("complaints")), ("signed", BODY)],
    }
    assert steps.done == expected.get(name, [(name, ("N", 7))])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "endorse"])
def test_after_an_abort_no_order_is_carried_out(name):
    steps = Recorder()
    steps.aborted = True
    with pytest.raises(ApplicationError) as caught:
        run(name, orders(envelope)[name], steps)
    assert caught.value.type == "RF-GOVERN-007"
    assert steps.done == []


def test_an_order_to_catch_up_is_carried_out():
    steps = Recorder()
    run("step", StepOrder("catch_up", envelope(step_line("catch_up"))), steps)
    assert steps.done == [("catch up",)]


@pytest.mark.parametrize("name", NAMES)
def test_an_order_that_an_operator_signed_is_refused(name):
    error = refused(name, orders(lambda line: envelope(line, key=key_of(1)))[name])
    assert error.type == "RF-ORDER-001"


@pytest.mark.parametrize("name", NAMES)
def test_an_order_for_another_plan_is_refused(name):
    error = refused(name, orders(lambda line: envelope(line, plan_hash=OTHER_PLAN))[name])
    assert error.type == "RF-ORDER-001"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("at", [0, 10, -1])
def test_an_order_with_a_changed_byte_is_refused(name, at):
    def flipped(line):
        data = bytearray(base64.b64decode(envelope(line)))
        data[at] ^= 1
        return base64.b64encode(data).decode()

    assert refused(name, orders(flipped)[name]).type == "RF-ORDER-001"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "RF-ORDER-001"),
        ("AA==", "RF-ORDER-001"),
        ("not base64!", "RF-ORDER-002"),
        ("é", "RF-ORDER-002"),
    ],
)
def test_what_is_no_order_at_all_is_refused(name, text, code):
    assert refused(name, orders(lambda _: text)[name]).type == code


def test_a_statement_that_is_no_base64_text_is_refused():
    draft = dataclasses.replace(orders(envelope)["endorse"], body="?")
    assert refused("endorse", draft).type == "RF-ORDER-002"


@pytest.mark.parametrize("name", ["share", "decode", "answer"])
@pytest.mark.parametrize("line", [batch_line("N", 8), batch_line("S", 7), step_line("secure")])
def test_an_order_for_another_batch_is_refused(name, line):
    error = refused(name, BatchOrder("N", 7, envelope(line)))
    assert error.type == "RF-ORDER-001"


def test_an_order_for_another_step_is_refused():
    for line in (step_line("conclude"), batch_line("N", 7), statement_line(BODY)):
        assert refused("step", StepOrder("secure", envelope(line))).type == "RF-ORDER-001"


def test_a_signed_order_for_one_statement_endorses_no_other():
    other = wire.body_of(Close("contributions/0"))
    draft = dataclasses.replace(orders(envelope)["endorse"], body=base64.b64encode(other).decode())
    assert refused("endorse", draft).type == "RF-ORDER-001"


@pytest.mark.parametrize("name", NAMES)
def test_a_step_that_computes_for_long_is_heard_of_and_is_silent_when_it_ends(name, monkeypatch):
    monkeypatch.setattr(orders_module, "_BEAT_SECONDS", 0.01)
    heard, environment, steps = threading.Event(), ActivityEnvironment(), Recorder()
    environment.on_heartbeat = lambda *_: heard.set()
    steps._note = lambda *_: steps.done.append(heard.wait(10))
    environment.run(getattr(offered(steps), name), orders(envelope)[name])
    assert steps.done[0] is True
    assert "heartbeat" not in {thread.name for thread in threading.enumerate()}


def test_an_objection_is_an_answer_and_no_signature():
    steps = Recorder()
    steps.objection = lambda _: "too early"
    answer = run("endorse", orders(envelope)["endorse"], steps)
    assert (answer.operator, answer.signature, answer.refusal) == (3, "", "too early")
    assert steps.done == []


def told(name, error):
    with pytest.raises(ApplicationError) as caught:
        run(name, orders(envelope)[name], Recorder(error))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert SECRET not in repr((caught.value.message, caught.value.details))
    return caught.value


@pytest.mark.parametrize("name", NAMES)
def test_temporal_is_told_code_and_sentence_of_a_refusal_and_no_cause(name):
    error = CeremonyError("RF-PEER-004", "a peer is away", expected="it", found="nobody")
    error.__cause__ = ValueError(SECRET)
    assert told(name, error).type == "RF-PEER-004"
    assert "a peer is away" in told(name, error).message


@pytest.mark.parametrize("name", NAMES)
def test_temporal_is_not_told_what_nobody_foresaw(name):
    error = told(name, ValueError(SECRET))
    assert error.type == "RF-ORDER-003"
    assert "ValueError" in error.message


def test_a_cancelled_activity_ends_as_cancelled():
    with pytest.raises(CancelledError):
        run("share", orders(envelope)["share"], Recorder(CancelledError("cancelled")))
