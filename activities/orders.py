"""The activities of an operator's worker: check the order, run the step, say what went wrong.

Orders are signed by the coordinator and bound to the plan hash. Each says in one line what it
orders, and the line must be exactly the one that belongs to the activity and its argument.
"""

from __future__ import annotations

import base64
import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError

from activities.steps import Steps
from mpc_core.protocol.entries import Entry
from mpc_core.protocol.errors import CeremonyError
from workflows.contracts import BatchOrder, Draft, Endorsement, StepOrder

__all__ = ["OperatorActivities", "batch_line", "statement_line", "step_line"]

_BEAT_SECONDS = 5.0
_log = structlog.get_logger()


def batch_line(stage: str, batch: int) -> bytes:
    """Return what an order says that opens a batch."""
    return f"batch {stage} {batch}".encode()


def step_line(step: str) -> bytes:
    """Return what an order says that runs a step."""
    return f"step {step}".encode()


def statement_line(body: bytes) -> bytes:
    """Return what an order says that asks for an endorsement."""
    return b"statement " + body


@contextmanager
def _beating() -> Iterator[None]:
    """Beat from a second thread while a step runs: what computes for minutes cannot by itself."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_BEAT_SECONDS):
            activity.heartbeat()

    run = contextvars.copy_context().run
    thread = threading.Thread(target=run, args=(beat,), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _explained() -> Iterator[None]:
    """Let Temporal show the code and the sentence of an error, and nothing of the stack.

    What nobody foresaw may quote a value: it goes to this operator's own log.
    """
    try:
        with _beating():
            yield
    except FailureError:
        raise
    except CeremonyError as error:
        raise ApplicationError(str(error), type=error.code) from None
    except Exception as error:  # noqa: BLE001 - Temporal would publish its text
        _log.exception("unforeseen")
        sentence = f"RF-ORDER-003  {type(error).__name__}; the operator's own log says more"
        raise ApplicationError(sentence, type="RF-ORDER-003") from None


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise CeremonyError(
            "RF-ORDER-002",
            "an order carries something that is no base64 text",
            expected="the coordinator's signed order",
            found=f"{len(text)} characters",
            effect="nothing was done",
            next_step="ask the coordinator who else can start activities",
            runbook="order-refused",
        ) from None


@dataclass(frozen=True, slots=True)
class OperatorActivities:
    """One operator's activities.

    Attributes:
        steps: what this operator can do.
        open_order: checks an order's signature and plan; returns its line.
        read_statement: decodes the canonical body of a statement.
        sign: signs the canonical body of a statement.
    """

    steps: Steps
    open_order: Callable[[bytes], bytes]
    read_statement: Callable[[bytes], Entry]
    sign: Callable[[bytes], bytes]

    @activity.defn(name="share")
    def share(self, order: BatchOrder) -> None:
        """Compute a share vector and post its root."""
        with _explained():
            self.steps.share(self._batch(order))

    @activity.defn(name="decode")
    def decode(self, order: BatchOrder) -> None:
        """Open a batch, if this operator is the decoder of the round that the order names."""
        with _explained():
            self.steps.decode(self._batch(order), order.round)

    @activity.defn(name="answer")
    def answer(self, order: BatchOrder) -> None:
        """Vouch for the opening of a batch and answer its challenges."""
        with _explained():
            self.steps.answer(self._batch(order), order.round)

    @activity.defn(name="step")
    def step(self, order: StepOrder) -> None:
        """Run a step outside the batches."""
        with _explained():
            self._check(order.envelope, step_line(order.step))
            self.steps.wait_for_resumption()
            if order.step == "catch_up":
                self.steps.catch_up()
            else:
                self.steps.step(order.step)

    @activity.defn(name="endorse")
    def endorse(self, draft: Draft) -> Endorsement:
        """Sign a statement, or say why not."""
        with _explained():
            body = _bytes(draft.body)
            self._check(draft.envelope, statement_line(body))
            index = self.steps.operator.index
            objection = self.steps.objection(self.read_statement(body))
            if objection:
                return Endorsement(operator=index, refusal=objection)
            signature = base64.b64encode(self.sign(body)).decode()
            return Endorsement(operator=index, signature=signature)

    def _batch(self, order: BatchOrder) -> tuple[str, int]:
        self._check(order.envelope, batch_line(order.stage, order.batch))
        self.steps.wait_for_resumption()
        return (order.stage, order.batch)

    def _check(self, envelope: str, line: bytes) -> None:
        found = self.open_order(_bytes(envelope))
        if found != line:
            raise CeremonyError(
                "RF-ORDER-001",
                "an order says something else than the activity that carries it",
                expected=line[:80].decode(errors="replace"),
                found=found[:80].decode(errors="replace"),
                effect="nothing was done",
                next_step="ask the coordinator who else can start activities",
                runbook="peer-refused",
            )
