"""How workflows call activities: which queue, which timeouts, and how statements are gathered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from workflows.contracts import (
        CeremonyInput,
        Draft,
        Endorsement,
        Errand,
        OperatorQueues,
        PlanSignature,
        StepOrder,
    )

__all__ = ["Calls"]

_UNTIL_ANSWERED = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=10)
)
_A_LONG_TIME = timedelta(days=30)
_COMPUTE_TIME = timedelta(hours=6)
_COMPUTE_HEARTBEAT = timedelta(seconds=60)
_CONTROL_HEARTBEAT = timedelta(seconds=30)
_ENDORSEMENT_TIME = timedelta(seconds=60)
_ENDORSEMENT_ATTEMPTS = 2
_ENDORSEMENT_TIMES = {"write-off": timedelta(seconds=180)}
"""Before it signs a write-off, an operator calls the silent one and posts what that answers."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 60.0
_LONGEST_SIGNATURE, _LONGEST_REFUSAL = 200, 1000


@dataclass(frozen=True, slots=True)
class Calls:
    """The activities of one ceremony, addressed to the right queues."""

    ceremony: CeremonyInput

    def operator(self, index: int) -> OperatorQueues:
        """Return the queues of the operator with this index."""
        return self.ceremony.operators[index - 1]

    async def coordinator(self, name: str, argument: Any, result: type[Any]) -> Any:
        """Run a coordinator's activity until it answers; it survives restarts of the coordinator.

        A coordinator that waits for the log answers within its own polling time, so a missing
        heartbeat means that its process is gone.
        """
        return await workflow.execute_activity(
            name,
            argument,
            task_queue=self.ceremony.coordinator_queue,
            result_type=result,
            schedule_to_start_timeout=_A_LONG_TIME,
            start_to_close_timeout=timedelta(minutes=30),
            heartbeat_timeout=timedelta(seconds=30),
            retry_policy=_UNTIL_ANSWERED,
        )

    async def check_signature(self, note: PlanSignature, signature: bytes) -> None:
        """Have the coordinator verify a signature under the plan; one that is not valid fails."""
        await workflow.execute_activity(
            "check_plan_signature",
            args=[note, signature],
            task_queue=self.ceremony.coordinator_queue,
            schedule_to_start_timeout=_A_LONG_TIME,
            start_to_close_timeout=_ENDORSEMENT_TIME,
            retry_policy=_UNTIL_ANSWERED,
        )

    def compute(self, index: int, name: str, order: Any) -> workflow.ActivityHandle[Any]:
        """Start a compute activity of one operator; it waits as long as the operator is down."""
        queues = self.operator(index)
        if queues.namespace:
            return self._carried(
                queues.namespace,
                queues.compute,
                name,
                order,
                start=_A_LONG_TIME,
                run=_COMPUTE_TIME,
                heartbeat=_COMPUTE_HEARTBEAT,
            )
        return workflow.start_activity(
            name,
            order,
            task_queue=queues.compute,
            schedule_to_start_timeout=_A_LONG_TIME,
            start_to_close_timeout=_COMPUTE_TIME,
            heartbeat_timeout=_COMPUTE_HEARTBEAT,
            retry_policy=_UNTIL_ANSWERED,
        )

    async def endorsement(self, index: int, draft: Draft) -> Endorsement:
        """Ask one operator to endorse a statement; an absent operator is a refusal, not a wait."""
        try:
            answer: object = await self._endorse(self.operator(index), draft)
        except ActivityError as error:
            return Endorsement(operator=index, refusal=f"no answer: {error.cause}")
        return _endorsement(index, answer)

    def _endorse(self, queues: OperatorQueues, draft: Draft) -> workflow.ActivityHandle[Any]:
        start = timedelta(seconds=self.ceremony.timeouts.step)
        run = _ENDORSEMENT_TIMES.get(draft.kind, _ENDORSEMENT_TIME)
        if queues.namespace:
            return self._carried(
                queues.namespace,
                queues.control,
                "endorse",
                draft,
                start=start,
                run=run,
                heartbeat=_CONTROL_HEARTBEAT,
                attempts=_ENDORSEMENT_ATTEMPTS,
            )
        return workflow.start_activity(
            "endorse",
            draft,
            task_queue=queues.control,
            schedule_to_start_timeout=start,
            start_to_close_timeout=run,
            heartbeat_timeout=_CONTROL_HEARTBEAT,
            retry_policy=RetryPolicy(maximum_attempts=_ENDORSEMENT_ATTEMPTS),
        )

    def _carried(
        self,
        namespace: str,
        queue: str,
        name: str,
        argument: Any,
        *,
        start: timedelta,
        run: timedelta,
        heartbeat: timedelta,
        attempts: int = 0,
    ) -> workflow.ActivityHandle[Any]:
        """Have the coordinator carry an order to an operator in a namespace of its own.

        It is carried until it is answered; how long that may take is counted over there.
        """
        times = (start.total_seconds(), run.total_seconds(), heartbeat.total_seconds())
        return workflow.start_activity(
            "carry",
            Errand(namespace, queue, name, argument, *times, attempts),
            task_queue=self.ceremony.coordinator_queue,
            schedule_to_start_timeout=_A_LONG_TIME,
            start_to_close_timeout=_A_LONG_TIME,
            heartbeat_timeout=_CONTROL_HEARTBEAT,
            retry_policy=_UNTIL_ANSWERED,
        )

    async def state(self, kind: str, subject: str = "") -> Draft:
        """Gather n-t signatures for a statement and post it; return when the log covers it.

        A draft that is not due yet, or that too few operators endorse, is drawn up again: the
        log may have moved meanwhile, and only the log decides. The first n-t signatures are
        posted without waiting for the others; should one of them be void, all are waited for.
        """
        pause, enough = _FIRST_PAUSE, self.ceremony.quorum
        while True:
            draft: Draft = await self.coordinator(
                "draft_statement", Draft(kind=kind, subject=subject, state="draft"), Draft
            )
            if draft.state == "done":
                return draft
            if draft.state == "draft":
                answers = await self._endorsements(draft, enough)
                posted: Draft = await self.coordinator("post_statement", [draft, answers], Draft)
                if posted.state == "done":
                    return posted
                enough = len(self.ceremony.operators)
            await workflow.sleep(timedelta(seconds=pause))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _endorsements(self, draft: Draft, enough: int) -> list[Endorsement]:
        """Ask all signers and return once this many have signed, or all have answered."""
        answers: list[Endorsement] = []
        asked = [asyncio.ensure_future(self.endorsement(at, draft)) for at in draft.signers]
        for answer in workflow.as_completed(asked):
            answers.append(await answer)
            if sum(bool(given.signature) for given in answers) >= enough:
                break
        return answers

    async def write_off(self, index: int, *, summoned: bool) -> None:
        """Summon a silent operator, then write it off once n-t clocks have run out."""
        if not summoned:
            await self.state("summons", str(index))
        await self.state("write-off", str(index))

    async def step(self, step: str) -> StepOrder:
        """Return the coordinator's signed order for a step outside the batches."""
        order: StepOrder = await self.coordinator("sign_step", step, StepOrder)
        return order


def _endorsement(index: int, answer: object) -> Endorsement:
    """Return an operator's answer; one that is none is a refusal.

    Whoever polls the operator's queue can answer anything. A result that does not have the type
    that a workflow declares would stop that workflow for good.
    """
    match answer:
        case {"operator": int(), "signature": str(signature), "refusal": str(refusal)}:
            if len(signature) <= _LONGEST_SIGNATURE:
                return Endorsement(index, signature, refusal[:_LONGEST_REFUSAL])
    return Endorsement(operator=index, refusal="no answer: it cannot be read")
