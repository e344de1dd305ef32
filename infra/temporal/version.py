"""Which version of the program runs a ceremony's workflows.

A workflow stays with the version that began it (pinned): another one might order something else
where its history says what was ordered. A pinned worker gets no task until its version is current
in its deployment, so that is set, and waited for, before the first workflow.
"""

from __future__ import annotations

import asyncio
import hashlib
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING

from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import WorkerDeploymentConfig

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from temporalio.client import Client

__all__ = ["activities_only", "make_current", "pinned", "require_same_version"]

_PAUSE_SECONDS = 0.1


def activities_only(party: str) -> WorkerDeploymentConfig:
    """Return the version of a worker without workflows: any can go on with another's activities.

    Without one of its own the SDK hashes every loaded module, which takes seconds.
    """
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(f"ringforge-{party}", version("ringforge")),
        use_worker_versioning=False,
    )


def pinned(ceremony: str) -> WorkerDeploymentConfig:
    """Return the version of the worker that runs this ceremony's workflows."""
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(f"ringforge-{ceremony}", _build()),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )


def _build() -> str:
    """Return the digest of the workflows' sources."""
    digest = hashlib.sha256()
    sources = (path for path in files("workflows").iterdir() if path.name.endswith(".py"))
    for source in sorted(sources, key=lambda path: path.name):
        digest.update(hashlib.sha256(source.name.encode()).digest())
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:16]


async def make_current(
    client: Client, config: WorkerDeploymentConfig, *, deadline_seconds: float = 60.0
) -> None:
    """Let new workflows begin with this version; its worker must be running.

    Raises:
        CeremonyError: RF-TEMP-006 if the server does not take it in time.
    """
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace,
        deployment_name=config.version.deployment_name,
        build_id=config.version.build_id,
        identity=client.identity,
        # A run of the same ceremony may have had other queues.
        ignore_missing_task_queues=True,
    )
    failure = "no answer"
    try:
        async with asyncio.timeout(deadline_seconds):
            while True:
                try:
                    await client.workflow_service.set_worker_deployment_current_version(request)
                except RPCError as error:
                    failure = error.message
                    if error.status is RPCStatusCode.UNIMPLEMENTED:
                        break
                else:
                    return
                # The server learns of a worker by its first poll.
                await asyncio.sleep(_PAUSE_SECONDS)
    except TimeoutError:
        pass
    raise CeremonyError(
        "RF-TEMP-006",
        "the Temporal server does not take the version of the workflows",
        expected="a server that knows worker deployments (1.28 or newer)",
        found=failure,
        effect="the ceremony does not begin; nothing is lost",
        next_step="use a newer server, then start the same command again",
        runbook="temporal-version",
    )


async def require_same_version(
    client: Client, workflow_id: str, config: WorkerDeploymentConfig
) -> None:
    """Check that a workflow, if it runs already, was begun by this version.

    Raises:
        CeremonyError: RF-TEMP-007 if another version began it.
    """
    try:
        found = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return
        raise
    if found.status is not WorkflowExecutionStatus.RUNNING:
        return
    began = found.raw_description.workflow_execution_info.versioning_info.deployment_version
    if began.build_id in ("", config.version.build_id):
        return
    raise CeremonyError(
        "RF-TEMP-007",
        "another version of the program began this ceremony",
        expected=f"workflows of version {config.version.build_id}",
        found=f"workflows of version {began.build_id}",
        effect="nothing was started; the log keeps what is done",
        next_step="run the version that began it, or resume with an empty Temporal database",
        runbook="temporal-version",
    )
