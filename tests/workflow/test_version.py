"""Versions of the workflows on a real server: pinned, made current, and not mixed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.converter import default
from temporalio.worker import Worker, WorkerDeploymentConfig

from infra.temporal.version import make_current, pinned, require_same_version
from mpc_core.protocol.errors import CeremonyError
from tests.support.greeting import Greeting
from tests.support.script import ceremony_input
from workflows.contracts import BatchInput, OperatorQueues

PATIENCE = timedelta(minutes=2)


def worker(client, queue, version):
    return Worker(client, task_queue=queue, workflows=[Greeting], deployment_config=version)


async def begin(client, queue):
    return await client.start_workflow(
        Greeting.run, "hello", id=f"{queue}/ceremony", task_queue=queue, execution_timeout=PATIENCE
    )


async def test_a_workflow_goes_on_with_the_version_that_began_it(client):
    version = pinned("same")
    async with worker(client, "same", version):
        await make_current(client, version)
        handle = await begin(client, "same")
        await require_same_version(client, handle.id, version)
    again = pinned("same")
    async with worker(client, "same", again):
        await make_current(client, again)
        await handle.signal(Greeting.meet, "world")
        assert await handle.result() == "hello, world"
    info = (await handle.describe()).raw_description.workflow_execution_info.versioning_info
    assert info.deployment_version.build_id == version.version.build_id


async def test_another_version_does_not_take_up_a_running_ceremony(client):
    version = pinned("other")
    changed = WorkerDeploymentConfig(
        version=type(version.version)(version.version.deployment_name, "changed"),
        use_worker_versioning=True,
        default_versioning_behavior=version.default_versioning_behavior,
    )
    async with worker(client, "other", version):
        await make_current(client, version)
        handle = await begin(client, "other")
        await handle.signal(Greeting.meet, "world")
        await handle.result()
        await require_same_version(client, handle.id, changed)
        handle = await begin(client, "other")
        while (
            not (await handle.fetch_history())
            .events[-1]
            .HasField("workflow_task_completed_event_attributes")
        ):
            pass
        with pytest.raises(CeremonyError, match="RF-TEMP-007") as caught:
            await require_same_version(client, handle.id, changed)
        await handle.signal(Greeting.meet, "world")
        await handle.result()
    assert caught.value.expected.endswith("changed")


async def test_a_ceremony_that_temporal_does_not_know_is_of_no_version(client):
    await require_same_version(client, "nobody/ceremony", pinned("nobody"))


async def test_a_version_without_a_worker_does_not_become_current(client):
    with pytest.raises(CeremonyError, match="RF-TEMP-006"):
        await make_current(client, pinned("absent"), deadline_seconds=1.0)


def test_the_input_of_a_batch_is_small_at_thirteen_operators():
    name = "0123456789abcdef" * 2
    ceremony = ceremony_input(name)
    operators = [
        OperatorQueues(
            at, f"op-{at:02d}", f"{name}/op-{at:02d}/control", f"{name}/op-{at:02d}/compute"
        )
        for at in range(1, 14)
    ]
    from dataclasses import replace

    batch = BatchInput(replace(ceremony, operators=operators), "N", 12345)
    payload = default().payload_converter.to_payload(batch)
    assert len(payload.data) <= 4096
