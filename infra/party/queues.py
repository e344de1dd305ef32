"""Names in Temporal: of a ceremony's workflow, and of its task queues, two per operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflows.contracts import OperatorQueues

if TYPE_CHECKING:
    from mpc_core.protocol.plan import Plan

__all__ = ["ceremony_workflow", "coordinator_queue", "operator_queues"]


def operator_queues(plan: Plan, index: int) -> OperatorQueues:
    """Return the queues of an operator in this ceremony."""
    name = plan.name_of(index)
    prefix = f"{plan.ceremony_id}/{name}"
    return OperatorQueues(
        index=index, name=name, control=f"{prefix}/control", compute=f"{prefix}/compute"
    )


def coordinator_queue(plan: Plan) -> str:
    """Return the coordinator's queue, of workflows and of its activities."""
    return f"{plan.ceremony_id}/coordinator"


def ceremony_workflow(plan: Plan) -> str:
    """Return the id of a ceremony's workflow."""
    return f"{plan.ceremony_id}/ceremony"
