"""Nothing of a ceremony runs before everybody has signed its plan."""

from __future__ import annotations

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.worker import Worker

from infra.coordinator.signatures import SignatureActivities, gather
from infra.coordinator.workflows import WORKFLOWS
from infra.governance import waiting
from infra.governance.waiting import _not_taken, complete_signatures
from infra.homes import Home
from infra.party.queues import coordinator_queue
from infra.plan import load_signed_plan
from infra.plan.signing import read_signatures, write_signatures
from infra.temporal.client import connect
from infra.temporal.codec import converter_for
from infra.temporal.version import pinned
from mpc_core.protocol.errors import CeremonyError
from tests.support.plans import hybrid_parties
from tests.support.script import World, ceremony_input, signature_by
from tests.workflow.test_workflows import playing, start
from workflows.ceremony import CeremonyWorkflow
from workflows.contracts import PlanSignature

SIGNERS = ("op-1", "op-2", "op-3", "op-4", "coordinator")
HAND_IN = CeremonyWorkflow.hand_in_signature


async def hand_in(handle, ceremony, name, signature=None):
    note = PlanSignature(name, ceremony.plan_hash)
    return await handle.execute_update(HAND_IN, args=[note, signature or signature_by(name)])


async def test_nothing_is_ordered_before_the_last_signature_is_handed_in(client):
    ceremony, world = ceremony_input("signed", signers=SIGNERS), World()
    async with playing(client, ceremony, world):
        handle = await start(client, ceremony, CeremonyWorkflow.run, ceremony, "ceremony")
        for number, name in enumerate(SIGNERS[:-1], 1):
            missing = await hand_in(handle, ceremony, name)
            assert missing == list(SIGNERS[number:])
        assert await hand_in(handle, ceremony, "op-1") == ["coordinator"]
        assert await handle.query(CeremonyWorkflow.unsigned) == ["coordinator"]
        assert (world.orders, world.statements) == ([], [])
        assert await hand_in(handle, ceremony, "coordinator") == []
        await world.until(lambda: world.orders)
        signatures = await handle.query(CeremonyWorkflow.signatures)
        await handle.terminate()
    assert world.orders[0][0] == "announce_kem_key"
    assert signatures.keys() == set(SIGNERS)


@pytest.mark.parametrize(
    ("note", "signature", "why"),
    [
        (PlanSignature("op-1", "11" * 32), bytes(3373), "another plan"),
        (PlanSignature("op-9", "00" * 32), bytes(3373), "nobody of that name"),
        (PlanSignature("op-1", "00" * 32), bytes(3372), "another length"),
        (PlanSignature("op-1", "00" * 32), bytes(3373), "RF-PLAN-009"),
    ],
    ids=["plan", "name", "length", "signature"],
)
async def test_what_is_no_signature_of_a_party_is_not_taken(client, request, note, signature, why):
    name = request.node.callspec.id
    ceremony, world = ceremony_input(f"refused-{name}", signers=SIGNERS), World()
    async with playing(client, ceremony, world):
        handle = await start(client, ceremony, CeremonyWorkflow.run, ceremony, "ceremony")
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await handle.execute_update(HAND_IN, args=[note, signature])
        assert why in str(_not_taken("op-1", caught.value).found)
        assert await handle.query(CeremonyWorkflow.unsigned) == list(SIGNERS)
        await handle.terminate()


@pytest.fixture
def homes(tmp_path):
    """A home for each party of a plan; each has only the signature of its own party."""
    signed = hybrid_parties().signed
    signatures = read_signatures(signed.plan, signed.signatures)
    found = {}
    for name, signature in signatures.items():
        home = Home(tmp_path / name)
        home.make()
        (home.path / "plan.toml").write_bytes(signed.toml)
        (home.path / "plan.sig").write_bytes(write_signatures(signed.plan, {name: signature}))
        found[name] = home
    return found


async def coordinate(plan, home, server, done):
    """Gather signatures, then go on answering for the workflow, as a coordinator's process does."""
    await gather(home, server, {})
    converter = converter_for((home.path / "plan.toml").read_bytes())
    client = await connect(server, identity="test", converter=converter)
    with ThreadPoolExecutor(1) as executor:
        worker = Worker(
            client,
            task_queue=coordinator_queue(plan),
            workflows=WORKFLOWS,
            activities=[SignatureActivities(plan).check_plan_signature],
            activity_executor=executor,
            max_concurrent_activities=1,
            deployment_config=pinned(plan.ceremony_id),
        )
        async with worker:
            await done.wait()
    await client.get_workflow_handle(f"{plan.ceremony_id}/ceremony").terminate()


async def test_processes_wait_until_everybody_has_signed_and_then_hold_all_signatures(
    server, homes, monkeypatch
):
    plan = hybrid_parties().signed.plan
    last = homes.pop("op-03")
    only_one_is_missing, done = asyncio.Event(), asyncio.Event()

    def read(event, **_):
        if '"waiting_for": ["op-03"]' in event:
            only_one_is_missing.set()

    monkeypatch.setattr(waiting, "print", read, raising=False)
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        group.create_task(coordinate(plan, homes["coordinator"], server, done))
        async with asyncio.TaskGroup() as operators:
            for name in ("op-01", "op-02", "op-04"):
                operators.create_task(complete_signatures(homes[name], server))
            await only_one_is_missing.wait()
            operators.create_task(complete_signatures(last, server))
        done.set()
    for home in (*homes.values(), last):
        assert load_signed_plan(home.path).plan == plan


async def test_a_home_with_every_signature_asks_nobody(homes):
    signed = hybrid_parties().signed
    (homes["op-01"].path / "plan.sig").write_bytes(signed.signatures)
    await complete_signatures(homes["op-01"], "127.0.0.1:1")


async def test_a_home_whose_signature_is_spoilt_does_not_wait(homes):
    shutil.copy(homes["op-02"].path / "plan.sig", homes["op-01"].path / "plan.sig")
    file = homes["op-01"].path / "plan.sig"
    file.write_bytes(file.read_bytes().replace(b"op-02", b"op-01"))
    with pytest.raises(CeremonyError, match="RF-PLAN-009"):
        await complete_signatures(homes["op-01"], "127.0.0.1:1")
