"""The workflows of a ceremony, and how one is begun."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from infra.party.queues import ceremony_workflow, coordinator_queue, operator_queues
from infra.party.rules import batch_counts, layout_of
from infra.plan.hybrid import signing_parties
from workflows.batch import BatchWorkflow
from workflows.ceremony import CeremonyWorkflow
from workflows.contracts import CeremonyInput, Timeouts
from workflows.decryption import DecryptionWorkflow
from workflows.keys import KeysWorkflow
from workflows.seal import SealWorkflow
from workflows.stage import StageWorkflow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from temporalio.client import Client, WorkflowHandle

    from mpc_core.protocol.plan import Plan
    from workflows.contracts import CeremonyResult

__all__ = ["WORKFLOWS", "ceremony_input", "start_ceremony"]

NOWHERE_ELSE: Mapping[str, str] = MappingProxyType({})
"""All operators work where the ceremony's workflows are."""

WORKFLOWS = [
    BatchWorkflow,
    CeremonyWorkflow,
    DecryptionWorkflow,
    KeysWorkflow,
    SealWorkflow,
    StageWorkflow,
]
"""Every workflow of a ceremony."""


def ceremony_input(plan: Plan, namespaces: Mapping[str, str] = NOWHERE_ELSE) -> CeremonyInput:
    """Return what the ceremony workflow is started with.

    Args:
        plan: the signed plan.
        namespaces: of operators that have one of their own, by their names.
    """
    return CeremonyInput(
        ceremony_id=plan.ceremony_id,
        plan_hash=plan.hash.hex(),
        quorum=plan.quorum,
        operators=[
            operator_queues(plan, operator.index, namespaces.get(operator.name, ""))
            for operator in plan.operators
        ],
        coordinator_queue=coordinator_queue(plan),
        timeouts=Timeouts(step=plan.deadlines.step_seconds, waiting=plan.deadlines.waiting_seconds),
        batches=batch_counts(layout_of(plan)),
        batches_in_flight=plan.layout.batches_in_flight,
        signers=list(signing_parties(plan)),
    )


async def start_ceremony(
    client: Client, plan: Plan, namespaces: Mapping[str, str] = NOWHERE_ELSE
) -> WorkflowHandle[CeremonyWorkflow, CeremonyResult]:
    """Begin the workflow of a ceremony, or join it.

    Raises:
        WorkflowAlreadyStartedError: it has ended well.
    """
    return await client.start_workflow(
        CeremonyWorkflow.run,
        ceremony_input(plan, namespaces),
        id=ceremony_workflow(plan),
        task_queue=coordinator_queue(plan),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
    )
