"""The workflows on a real Temporal server; the log is scripted, nothing waits for a time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest
from temporalio.client import WorkflowExecutionStatus

from infra.coordinator import process
from infra.coordinator import workflows as coordinator_workflows
from tests.support.board import board_plan
from tests.support.script import (
    EVERYONE,
    World,
    ceremony_input,
    coordinator_worker,
    start_operators,
)
from workflows.batch import BatchWorkflow
from workflows.ceremony import CeremonyWorkflow
from workflows.contracts import BatchInput, StageInput
from workflows.seal import SealWorkflow
from workflows.stage import StageWorkflow

KEY = ("N", 0)
PATIENCE = timedelta(minutes=2)


@asynccontextmanager
async def playing(client, ceremony, world):
    async with AsyncExitStack() as stack:
        await start_operators(stack, client, ceremony, world)
        await stack.enter_async_context(coordinator_worker(client, ceremony, world))
        yield


async def start(client, ceremony, run, argument, name):
    return await client.start_workflow(
        run,
        argument,
        id=f"{ceremony.ceremony_id}/{name}",
        task_queue=ceremony.coordinator_queue,
        execution_timeout=PATIENCE,
    )


async def settle(client, ceremony, world):
    async with playing(client, ceremony, world):
        batch = BatchInput(ceremony, *KEY)
        handle = await start(client, ceremony, BatchWorkflow.run, batch, "batch")
        return await handle.result()


async def test_a_batch_goes_from_share_vectors_to_answers(client):
    world = World()
    view = await settle(client, ceremony_input("all"), world)
    assert view.step == "settled"
    done = [kind for kind, _, _ in world.orders]
    assert done == ["share"] * 4 + ["decode"] + ["answer"] * 4
    assert world.statements == []


async def test_an_operator_that_never_answers_is_closed_out_once_and_asked_no_more(client):
    world = World(silent={4})
    view = await settle(client, ceremony_input("silent"), world)
    assert view.step == "settled"
    assert world.statements == [("close", "roots/N/0")]
    assert world.absent == {4}
    assert view.present == [1, 2, 3]


async def test_a_batch_after_the_close_does_not_order_anything_from_who_is_absent(client):
    ceremony, world = ceremony_input("after"), World(silent={4})
    world.absent = {4}
    async with playing(client, ceremony, world):
        batch = BatchInput(ceremony, *KEY)
        handle = await start(client, ceremony, BatchWorkflow.run, batch, "batch")
        await handle.result()
        history = await handle.fetch_history()
    assert world.statements == []
    queues = {
        event.activity_task_scheduled_event_attributes.task_queue.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    }
    assert ceremony.operators[0].compute in queues
    assert ceremony.operators[3].compute not in queues


async def test_a_failed_decoder_round_goes_on_to_the_next_decoder(client):
    world = World(fails={1})
    await settle(client, ceremony_input("decoders"), world)
    decoders = [at for kind, at, _ in world.orders if kind == "decode"]
    assert decoders == [1, 2]
    assert world.statements == [("close", "round/N/0/0")]


async def test_n_minus_t_signatures_are_posted_without_waiting_for_a_silent_signer(client):
    ceremony, world = ceremony_input("signatures", step=240.0), World(silent={4})
    view = await settle(client, ceremony, world)
    assert view.step == "settled"
    assert world.statements == [("close", "roots/N/0")]


async def test_orders_that_outlived_their_batch_are_not_carried_out_by_who_returns(client):
    ceremony, world = ceremony_input("stale"), World(silent={4})
    await settle(client, ceremony, world)
    before = len(world.orders)
    world.silent, world.absent = set(), set()
    async with playing(client, ceremony, world):
        batch = BatchInput(ceremony, "S", 0)
        handle = await start(client, ceremony, BatchWorkflow.run, batch, "later")
        await handle.result()
    new = world.orders[before:]
    assert ("share", 4, ("S", 0)) in new
    assert {key for _, _, key in new} == {("S", 0)}


async def test_the_seal_summons_and_writes_off_who_stays_silent(client):
    ceremony, world = ceremony_input("seal"), World(silent={4})
    world.absent = {4}
    async with playing(client, ceremony, world):
        handle = await start(client, ceremony, SealWorkflow.run, ceremony, "seal")
        await handle.result()
    assert world.statements == [("summons", "4"), ("write-off", "4"), ("seal", "")]


async def test_a_ceremony_that_loses_one_of_four_ends_with_an_announcement(client):
    ceremony, world = ceremony_input("three"), World()
    world.absent = {4}
    async with playing(client, ceremony, world):
        handle = await start(client, ceremony, CeremonyWorkflow.run, ceremony, "ceremony")
        await handle.result()
    kinds = [kind for kind, _ in world.statements]
    assert kinds == [
        *("setup-seal", "summons", "write-off", "seal"),
        *("key-set", "announcement", "published"),
    ]
    steps = [kind for kind, at, key in world.orders if key is None and at == 1]
    assert steps == ["announce_kem_key", "acknowledge", "secure", "rebuild", "conclude"]
    opened = [key for kind, _, key in world.orders if kind == "decode"]
    assert opened.index(("O", 0)) < min(opened.index(("O", 1)), opened.index(("O", 2)))
    assert opened.index(("S", 0)) < opened.index(("M", 0))
    assert opened[-1] == ("O", 3)


@pytest.mark.parametrize("step", ["secure", "rebuild", "conclude"])
async def test_a_step_goes_on_with_who_comes_back_when_another_one_dies(client, step):
    ceremony, world = ceremony_input(f"dies-{step}", step=0.1), World()
    world.away, world.deaf = {4}, {(step, 3)}

    async def back():
        await world.until(lambda: {(step, at, None) for at in (1, 2)} <= set(world.orders))
        await world.change(world.away.clear)

    async with playing(client, ceremony, world), asyncio.TaskGroup() as group:
        handle = await start(client, ceremony, CeremonyWorkflow.run, ceremony, "ceremony")
        group.create_task(back())
        await handle.result()
        history = await handle.fetch_history()
    assert {at for kind, at, _ in world.orders if kind == step} == {1, 2, 4}
    ordered = [
        event.activity_task_scheduled_event_attributes
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    queues = [
        order.task_queue.name
        for order in ordered
        if order.activity_type.name == "step"
        and f'"{step}"'.encode() in order.input.payloads[0].data
    ]
    assert sorted(queues) == sorted(set(queues)), "each is asked once"


async def test_a_batch_whose_answers_contradict_one_another_is_ordered_anew(client):
    ceremony, world = ceremony_input("misfit"), World(misfits={("S", 0)})
    async with playing(client, ceremony, world):
        handle = await start(client, ceremony, CeremonyWorkflow.run, ceremony, "ceremony")
        await handle.result()
    assert ("close", "recomputation/S/0") in world.statements
    for kind in ("share", "answer"):
        orders = [at for what, at, key in world.orders if (what, key) == (kind, ("S", 0))]
        assert sorted(orders) == sorted([*EVERYONE, *EVERYONE])


async def test_a_long_stage_goes_on_in_a_fresh_history(client):
    ceremony, world = ceremony_input("long"), World()
    async with playing(client, ceremony, world):
        stage = StageInput(ceremony, "N", 0, 7, batches_a_run=3)
        handle = await start(client, ceremony, StageWorkflow.run, stage, "N/0")
        first = handle.first_execution_run_id
        await handle.result()
        found = client.get_workflow_handle(handle.id, run_id=first)
        assert (await found.describe()).status is WorkflowExecutionStatus.CONTINUED_AS_NEW
        last = await client.get_workflow_handle(handle.id).fetch_history()
    children = {
        event.start_child_workflow_execution_initiated_event_attributes.workflow_id
        for event in last.events
        if event.HasField("start_child_workflow_execution_initiated_event_attributes")
    }
    assert children == {"long/N-0006"}
    assert world.settled == {("N", at) for at in range(7)}


async def test_as_many_batches_are_in_flight_as_the_plan_says_and_no_more(client):
    released = set()
    world = World(held=lambda key: key not in released)
    ceremony = ceremony_input("flight", in_flight=3)
    seen = []
    async with playing(client, ceremony, world):
        stage = StageInput(ceremony, "N", 0, 6)
        handle = await start(client, ceremony, StageWorkflow.run, stage, "N/0")
        while len(released) < 6:
            left = min(3, 6 - len(released))
            await world.until(lambda: len(world.in_flight) >= left)  # noqa: B023
            pending = (await handle.describe()).raw_description.pending_children
            seen.append((len(pending), len(world.in_flight)))
            await world.change(lambda: released.add(min(world.in_flight)))
            await world.until(lambda: released <= world.settled)
        await handle.result()
    assert seen[0] == (3, 3)
    assert max(batches for _, batches in seen) == 3
    assert max(children for children, _ in seen) <= 4, "one may be ending while its child begins"


async def test_a_coordinator_that_goes_away_and_comes_back_ends_the_stage(client):
    away = {"held": True}
    world = World(held=lambda key: away["held"])
    ceremony = ceremony_input("back")
    async with AsyncExitStack() as stack:
        await start_operators(stack, client, ceremony, world)
        async with coordinator_worker(client, ceremony, world):
            stage = StageInput(ceremony, "N", 0, 2)
            handle = await start(client, ceremony, StageWorkflow.run, stage, "N/0")
            await world.until(
                lambda: sum(kind == "answer" for kind, _, _ in world.orders) == 2 * len(EVERYONE)
            )
        await world.change(lambda: away.update(held=False))
        assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
        async with coordinator_worker(client, ceremony, world):
            await handle.result()
    assert world.settled == {("N", 0), ("N", 1)}
    assert sum(kind == "share" for kind, _, _ in world.orders) == 2 * len(EVERYONE)


async def test_a_coordinator_that_was_not_told_of_the_end_gets_the_same_result(client, monkeypatch):
    plan = board_plan()
    ceremony, world = ceremony_input(plan.ceremony_id), World()
    monkeypatch.setattr(coordinator_workflows, "ceremony_input", lambda *_: ceremony)
    async with playing(client, ceremony, world):
        first = await process._create(SimpleNamespace(plan=plan, signatures={}), client, {})
        again = await process._create(SimpleNamespace(plan=plan, signatures={}), client, {})
    assert first == again
    assert [kind for kind, _ in world.statements].count("announcement") == 1
