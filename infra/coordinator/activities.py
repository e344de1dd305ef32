"""The coordinator's activities: look at the log for a workflow, sign orders, gather statements.

Nothing here decides: what is due follows from the log (`mpc_core.protocol.statements`), and every
operator checks it again. A look waits for something new, but not for long, and beats meanwhile.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.orders import batch_line, statement_line, step_line
from infra.board import wire
from infra.coordinator.keyset import KeySetBuilder
from infra.coordinator.views import batch_view, is_overdue, seal_view, setup_view
from infra.party.log import PartyLog
from mpc_core.protocol.entries import Seal, WriteOff
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import Plan
from mpc_core.protocol.state import CeremonyState
from mpc_core.protocol.statements import Done, Due, due_statement
from workflows.contracts import (
    BatchView,
    CeremonyResult,
    Draft,
    Endorsement,
    SealView,
    SetupView,
    StepOrder,
)

__all__ = ["ABORTED", "CoordinatorActivities"]

ABORTED = "RF-GOVERN-007"
"""With what a ceremony ends that its operators aborted."""

_LOOK_SECONDS = 20.0
_TICK_SECONDS = 0.5
_SEAL_SECONDS = 3.0
"""How long the entries taken before a seal may take to be covered."""

_View = TypeVar("_View", BatchView, SealView, SetupView)


@dataclass(frozen=True, slots=True)
class CoordinatorActivities:
    """The activities of the coordinator's queue.

    Attributes:
        plan: the signed plan.
        log: the coordinator's own verified copy of the log.
        sign_order: signs what an order says.
        key_set: builds and publishes the key set.
        fetch_unknown: fetches opened values that verdicts wait for.
        hold: holds entries back for a while, but for a seal; returns the size of the log.
        release: lets them pass again.
    """

    plan: Plan
    log: PartyLog
    sign_order: Callable[[bytes], bytes]
    key_set: KeySetBuilder
    fetch_unknown: Callable[[], None]
    hold: Callable[[], int]
    release: Callable[[], None]

    # -- orders -----------------------------------------------------------------------------------

    @activity.defn(name="sign_step")
    def sign_step(self, step: str) -> StepOrder:
        """Sign the order for a step outside the batches, unless the ceremony is paused."""
        self._wait_for_resumption()
        return StepOrder(step=step, envelope=self._order(step_line(step)))

    def _order(self, line: bytes) -> str:
        return base64.b64encode(self.sign_order(line)).decode()

    # -- looks ------------------------------------------------------------------------------------

    @activity.defn(name="observe_batch")
    def observe_batch(self, look: list[Any]) -> BatchView:
        """Return the view of a batch once it differs from the known one.

        The first view carries the order to work on the batch.
        """
        stage, batch, known = look
        view = self._look(
            lambda state: batch_view(state, (stage, batch), self.log.seconds_since_covered), known
        )
        if known >= 0:
            return view
        return replace(view, envelope=self._order(batch_line(stage, batch)))

    @activity.defn(name="observe_setup")
    def observe_setup(self, known: int) -> SetupView:
        """Return the view of the key setup once it differs from the known one."""
        return self._look(lambda state: setup_view(state, self.log.seconds_since_covered), known)

    @activity.defn(name="observe_seal")
    def observe_seal(self, known: int) -> SealView:
        """Return the view of the seal once it differs from the known one."""
        return self._look(lambda state: seal_view(state, self.log.seconds_since_covered), known)

    @activity.defn(name="present_operators")
    def present_operators(self, _: None) -> list[int]:
        """Return the operators that orders are sent to now."""
        self._wait_for_resumption()
        return self.log.read(lambda state: sorted(state.members.awaited))

    def _wait_for_resumption(self) -> None:
        """Return while orders may be given.

        Raises:
            ApplicationError: RF-GOVERN-007, not to be tried again, if the ceremony was aborted.
        """
        while not self.log.wait_a_while(_goes_on, _TICK_SECONDS):
            activity.heartbeat()

    def _look(self, view: Callable[[CeremonyState], _View], known: int) -> _View:
        """Look until something changed or the time is over; opened values are fetched meanwhile."""
        until = time.monotonic() + _LOOK_SECONDS
        while True:
            self._wait_for_resumption()
            self.fetch_unknown()
            seen = self.log.wait_a_while(lambda state: _news(view(state), known), _TICK_SECONDS)
            if seen is not None:
                return seen
            if time.monotonic() >= until:
                return self.log.read(view)
            activity.heartbeat()

    # -- statements -------------------------------------------------------------------------------

    @activity.defn(name="draft_statement")
    def draft_statement(self, wanted: Draft) -> Draft:
        """Draw up a statement as soon as it is due by this party's clock."""
        subject = wanted.subject
        self._wait_for_resumption()
        if wanted.kind == "key-set":
            subject = self.key_set.digest(activity.heartbeat).hex()
        until = time.monotonic() + _LOOK_SECONDS
        while True:
            ready = self.log.wait_a_while(
                lambda state: self._drafted(state, wanted.kind, subject), _TICK_SECONDS
            )
            if ready is not None and ready.state == "draft" and wanted.kind == Seal.kind:
                return self._seal_of_all() or Draft(kind=wanted.kind, subject="", state="wait")
            if ready is not None:
                return ready
            if time.monotonic() >= until:
                return Draft(kind=wanted.kind, subject=subject, state="wait")
            activity.heartbeat()

    def _seal_of_all(self) -> Draft | None:
        """Draw up the seal over everything that was taken, while nothing else is taken."""
        size = self.hold()
        drafted = self.log.wait_a_while(
            lambda state: self._drafted(state, Seal.kind, "") if state.size >= size else None,
            _SEAL_SECONDS,
        )
        if drafted is None or drafted.state != "draft":
            self.release()
        return drafted

    def _drafted(self, state: CeremonyState, kind: str, subject: str) -> Draft | None:
        due = due_statement(state, kind, subject)
        if isinstance(due, Done):
            return Draft(kind=kind, subject=due.subject, state="done")
        covered = self.log.seconds_since_covered
        if not isinstance(due, Due) or not self._has_waited(state, due, kind, subject, covered):
            return None
        body = wire.body_of(due.entry)
        return Draft(
            kind=kind,
            subject=subject,
            state="draft",
            body=base64.b64encode(body).decode(),
            envelope=self._order(statement_line(body)),
            signers=sorted(state.members.signers),
        )

    def _has_waited(
        self,
        state: CeremonyState,
        due: Due,
        kind: str,
        subject: str,
        covered: Callable[[int], float],
    ) -> bool:
        if kind == WriteOff.kind:
            return covered(due.since) >= state.deadlines.waiting_seconds
        return is_overdue(state, kind, subject, covered)

    @activity.defn(name="post_statement")
    def post_statement(self, gathered: list[Any]) -> Draft:
        """Post a statement that n-t operators endorsed, and wait until the log covers it."""
        draft, answers = Draft(**gathered[0]), [Endorsement(**answer) for answer in gathered[1]]
        body = base64.b64decode(draft.body)
        parts = self._valid(body, answers)
        refusals = "; ".join(
            f"{self.plan.name_of(answer.operator)}: {answer.refusal}"
            for answer in answers
            if answer.refusal
        )
        write_off = draft.kind == WriteOff.kind
        if len(parts) < (self.plan.decision_rules.write_off if write_off else self.plan.quorum):
            if draft.kind == Seal.kind:
                self.release()
            return Draft(draft.kind, draft.subject, state="wait", reason=refusals)
        self.log.post_signed(wire.assemble(body, parts))
        done = self.log.wait_a_while(
            lambda state: _done(state, draft.kind, draft.subject), _LOOK_SECONDS
        )
        return done or Draft(draft.kind, draft.subject, state="wait")

    def _valid(self, body: bytes, answers: list[Endorsement]) -> list[wire.Endorsement]:
        parts = []
        for answer in answers:
            if not answer.signature:
                continue
            part = wire.Endorsement(
                answer.operator, wire.ED25519, base64.b64decode(answer.signature)
            )
            try:
                wire.check_endorsement(body, self.plan, part)
            except CeremonyError as error:
                activity.logger.warning("%s", error)
            else:
                parts.append(part)
        return parts

    # -- the result -------------------------------------------------------------------------------

    @activity.defn(name="publish")
    def publish(self, digest: str) -> CeremonyResult:
        """Write key set and transcript."""
        size = self.key_set.publish(activity.heartbeat)
        return CeremonyResult(digest=digest, log_size=size)


def _news(view: _View, known: int) -> _View | None:
    return view if view.version != known else None


def _goes_on(state: CeremonyState) -> bool | None:
    """Tell whether orders may be given now: None while the ceremony is paused."""
    abort = state.decisions.abort
    if abort is not None:
        names = ", ".join(state.plan.name_of(operator) for operator, _ in abort.voices)
        sentence = f"{ABORTED}  the ceremony was aborted by {names} at entry {abort.position}"
        raise ApplicationError(sentence, type=ABORTED, non_retryable=True)
    return None if state.decisions.is_paused else True


def _done(state: CeremonyState, kind: str, subject: str) -> Draft | None:
    due = due_statement(state, kind, subject)
    return Draft(kind, due.subject, state="done") if isinstance(due, Done) else None
