"""Signatures under the plan reach the ceremony's workflow, which begins with nothing before all.

Whoever holds signatures hands them in by an update of the workflow, which has the coordinator
verify each. Nobody has to believe either: operators verify all of them before they start
(`infra.governance.waiting`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from infra.coordinator.workflows import WORKFLOWS, start_ceremony
from infra.governance.gathering import open_draft
from infra.governance.waiting import wait_for_signatures
from infra.party.queues import coordinator_queue
from infra.plan.document import render_plan
from infra.plan.hybrid import signing_parties
from infra.plan.signing import is_signed_by
from infra.temporal.client import connect, patiently
from infra.temporal.codec import converter_for
from infra.temporal.version import make_current, pinned
from workflows.contracts import PlanSignature  # noqa: TC001 - Temporal reads the hints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.homes import Home
    from mpc_core.protocol.plan import Plan

__all__ = ["SignatureActivities", "gather"]


@dataclass(frozen=True, slots=True)
class SignatureActivities:
    """The coordinator's activity that looks at signatures under its plan."""

    plan: Plan

    @activity.defn(name="check_plan_signature")
    def check_plan_signature(self, note: PlanSignature, signature: bytes) -> None:
        """Verify a signature by every key that the plan names for its party.

        Raises:
            ApplicationError: RF-PLAN-009, not to be tried again, if it is not valid.
        """
        party = signing_parties(self.plan).get(note.name)
        named = party is not None and note.plan_hash == self.plan.hash.hex()
        if party is None or not named or not is_signed_by(self.plan, party, signature):
            sentence = f"RF-PLAN-009  the signature of {note.name[:40]} is not valid"
            raise ApplicationError(sentence, type="RF-PLAN-009", non_retryable=True)


async def gather(home: Home, temporal: str, namespaces: Mapping[str, str]) -> None:
    """Return when everybody has signed the plan of this home; until then offer to take signatures.

    Args:
        home: the coordinator's, with the plan and whatever signatures it has.
        temporal: address of the Temporal server.
        namespaces: of operators that have one of their own, by their names.

    Raises:
        CeremonyError: RF-PLAN-* if the plan or a signature in the home is not valid.
    """
    draft = open_draft(home.path)
    if not draft.missing:
        return
    plan = draft.plan
    converter = converter_for(render_plan(draft.document))
    client = await connect(
        temporal, identity=home.name, converter=converter, insecure_clear=plan.sandbox
    )
    version = pinned(plan.ceremony_id)
    async with AsyncExitStack() as stack:
        worker = Worker(
            client,
            task_queue=coordinator_queue(plan),
            workflows=WORKFLOWS,
            activities=[SignatureActivities(plan).check_plan_signature],
            activity_executor=stack.enter_context(ThreadPoolExecutor(1, "activity")),
            max_concurrent_activities=1,
            workflow_runner=UnsandboxedWorkflowRunner(),
            deployment_config=version,
        )
        await stack.enter_async_context(worker)
        await make_current(client, version)
        await patiently(lambda: start_ceremony(client, plan, namespaces))
        await wait_for_signatures(home, client)
