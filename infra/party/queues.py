"""Names in Temporal: of a ceremony's workflow, and of its task queues, two per operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflows.contracts import OperatorQueues

if TYPE_CHECKING:
    from mpc_core.protocol.plan import Plan

__all__ = ["ceremony_workflow", "coordinator_queue", "operator_queues", "owners_of"]


def operator_queues(plan: Plan, index: int, namespace: str = "") -> OperatorQueues:
    """Return the queues of an operator in this ceremony.

    Args:
        plan: the signed plan.
        index: the operator's.
        namespace: where they are, if not where the ceremony's workflows are.
    """
    name = plan.name_of(index)
    prefix = f"{plan.ceremony_id}/{name}"
    return OperatorQueues(
        index=index,
        name=name,
        control=f"{prefix}/control",
        compute=f"{prefix}/compute",
        namespace=namespace,
    )


def owners_of(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return who may work on a queue, by its name: an operator, or any host of the log."""
    queues = [operator_queues(plan, operator.index) for operator in plan.operators]
    owners = {queue: (each.name,) for each in queues for queue in (each.control, each.compute)}
    return {**owners, coordinator_queue(plan): tuple(plan.hosts)}


def coordinator_queue(plan: Plan) -> str:
    """Return the coordinator's queue, of workflows and of its activities."""
    return f"{plan.ceremony_id}/coordinator"


def ceremony_workflow(plan: Plan) -> str:
    """Return the id of a ceremony's workflow."""
    return f"{plan.ceremony_id}/ceremony"
