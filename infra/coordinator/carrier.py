"""Carries orders to operators that work in namespaces of their own, and their answers back.

What is asked for is named after the step that asks, so a coordinator that died and comes back joins
what it had begun. Temporal's server sees both ends; nobody trusts it or the carrier with more than
time: the order inside is signed, and so is what matters of the answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.exceptions import TimeoutError as TimedOut

from workflows.contracts import Errand  # noqa: TC001 - Temporal reads the hints
from workflows.errand import ErrandWorkflow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from temporalio.client import Client, WorkflowHandle

__all__ = ["Carrier"]

BEAT_SECONDS = 5.0
FAILED, NO_ANSWER = "RF-ORDER-003", "RF-ORDER-004"


class Carrier:
    """The coordinator's way into the namespaces of operators."""

    def __init__(self, clients: Mapping[str, Client], queue: str) -> None:
        """Carry orders.

        Args:
            clients: by namespace; a worker of `ErrandWorkflow` runs with each.
            queue: the coordinator's, in every namespace.
        """
        self._clients = clients
        self._queue = queue

    @activity.defn(name="carry")
    async def carry(self, errand: Errand) -> Any:
        """Give an order in its operator's namespace, and return the answer.

        Raises:
            ApplicationError: what the operator answered, or that it did not; not tried again.
        """
        step = activity.info()
        name = f"{step.workflow_id}/{step.workflow_run_id}/{step.activity_id}"
        handle = await self._begin_named(name, errand)
        answer = asyncio.ensure_future(handle.result())
        try:
            while not (await asyncio.wait([answer], timeout=BEAT_SECONDS))[0]:
                activity.heartbeat()
            return answer.result()
        except WorkflowFailureError as error:
            raise _ended(error) from None
        except asyncio.CancelledError:
            if not activity.is_worker_shutdown():  # nobody waits for the answer any more
                await handle.cancel()
            raise
        finally:
            answer.cancel()

    async def _begin_named(self, name: str, errand: Errand) -> WorkflowHandle[Any, Any]:
        """Begin what is asked for, or join it."""
        client = self._clients[errand.namespace]
        try:
            return await client.start_workflow(
                ErrandWorkflow.run,
                errand,
                id=name,
                task_queue=self._queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )
        except WorkflowAlreadyStartedError:
            return client.get_workflow_handle(name)


def _ended(error: WorkflowFailureError) -> ApplicationError:
    """Return why an errand failed, as the workflow that asked is told."""
    cause: BaseException | None = error.cause
    while cause is not None and not isinstance(cause, ApplicationError | TimedOut):
        cause = cause.__cause__
    code = cause.type if isinstance(cause, ApplicationError) and cause.type else FAILED
    if isinstance(cause, TimedOut):
        code = NO_ANSWER
    sentence = str(cause or error)
    return ApplicationError(sentence, type=code, non_retryable=True)
