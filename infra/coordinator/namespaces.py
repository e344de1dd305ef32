"""Operators in namespaces of their own: who works where, and the way there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from infra.coordinator.carrier import Carrier
from infra.party.queues import coordinator_queue
from infra.temporal.client import connect, patiently
from infra.temporal.version import activities_only
from mpc_core.protocol.errors import CeremonyError
from workflows.errand import ErrandWorkflow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AsyncExitStack

    from temporalio.client import Client
    from temporalio.converter import DataConverter

    from mpc_core.protocol.plan import Plan

__all__ = ["Abroad"]


@dataclass(frozen=True, slots=True)
class Abroad:
    """The connections to the namespaces of operators, by namespace."""

    plan: Plan
    clients: Mapping[str, Client]

    @classmethod
    async def reached(
        cls,
        plan: Plan,
        namespaces: Mapping[str, str],
        temporal: str,
        identity: str,
        converter: DataConverter,
    ) -> Abroad:
        """Connect to every namespace of an operator.

        Args:
            plan: the signed plan.
            namespaces: by operator; who is not named works where the ceremony's workflows are.
            temporal: address of the server.
            identity: the coordinator's name.
            converter: encrypts what crosses Temporal.

        Raises:
            CeremonyError: RF-TEMP-008 if there is no such operator or namespace, RF-TEMP-004 if no
                server answers.
        """
        unknown = set(namespaces) - {operator.name for operator in plan.operators}
        if unknown:
            raise _no_namespace("operators of the plan", ", ".join(sorted(unknown)))
        clients = {}
        for name in sorted(set(namespaces.values())):
            client = await connect(
                temporal,
                identity=identity,
                converter=converter,
                namespace=name,
                insecure_clear=plan.sandbox,
            )
            await _require(client)
            clients[name] = client
        return cls(plan, clients)

    async def carry(self, stack: AsyncExitStack) -> Carrier:
        """Let errands run in every namespace until the stack is left; return who carries them."""
        queue = coordinator_queue(self.plan)
        for client in self.clients.values():
            worker = Worker(
                client,
                task_queue=queue,
                workflows=[ErrandWorkflow],
                workflow_runner=UnsandboxedWorkflowRunner(),
                deployment_config=activities_only(client.identity),
            )
            await stack.enter_async_context(worker)
        return Carrier(self.clients, queue)

    @property
    def most_errands(self) -> int:
        """How many orders can be under way at a time."""
        return self.plan.count * (self.plan.layout.batches_in_flight + 2) if self.clients else 0


async def _require(client: Client) -> None:
    asked = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        await patiently(lambda: client.workflow_service.describe_namespace(asked))
    except RPCError as error:
        if error.status not in {RPCStatusCode.NOT_FOUND, RPCStatusCode.PERMISSION_DENIED}:
            raise
        raise _no_namespace("a namespace that this coordinator may use", error.message) from error


def _no_namespace(expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        "RF-TEMP-008",
        "an operator's namespace of Temporal cannot be used",
        expected=expected,
        found=found[:200],
        effect="nothing was started",
        next_step="correct --operator-namespace, or have the namespace made",
        runbook="temporal-unreachable",
    )
