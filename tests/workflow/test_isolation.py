"""Thieves of orders, namespaces of operators, and what Temporal keeps of a ceremony."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio import activity
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.service import RPCError
from temporalio.worker import Worker

from infra.coordinator.namespaces import Abroad
from infra.coordinator.thieves import Theft, Thieves, _printable, read_thefts
from infra.temporal.client import connect
from infra.temporal.codec import PlanCodec, converter_for
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import board_plan
from tests.support.script import (
    EVERYONE,
    World,
    ceremony_input,
    coordinator_worker,
    operator_workers,
)
from workflows.batch import BatchWorkflow
from workflows.ceremony import CeremonyWorkflow
from workflows.contracts import BatchInput, Errand

PLAN = b"plan of the tests"
PATIENCE = timedelta(minutes=2)
VICTIM = 2


async def begun(client, ceremony, run, argument, name="ceremony"):
    return await client.start_workflow(
        run,
        argument,
        id=f"{ceremony.ceremony_id}/{name}",
        task_queue=ceremony.coordinator_queue,
        execution_timeout=PATIENCE,
    )


def owners(ceremony):
    found = {ceremony.coordinator_queue: ("coordinator",)}
    for each in ceremony.operators:
        found |= {each.control: (each.name,), each.compute: (each.name,)}
    return found


class Rubbish:
    """What a thief answers to the orders that it took."""

    def __init__(self, answer):
        self.answer = answer
        self.taken = []

    def activities(self):
        return [self._activity(name) for name in ("share", "decode", "answer", "step", "endorse")]

    def _activity(self, name):
        @activity.defn(name=name)
        async def steal(_order: Any) -> Any:
            self.taken.append(name)
            return self.answer

        return steal


async def serve(stack, *workers):
    for worker in workers:
        await stack.enter_async_context(worker)


def thieving(client, ceremony, rubbish):
    queues = ceremony.operators[VICTIM - 1]
    return [
        Worker(client, task_queue=queue, activities=rubbish.activities())
        for queue in (queues.control, queues.compute)
    ]


@pytest.mark.parametrize(
    ("name", "answer", "key"),
    [("nothing", None, PLAN), ("rubbish", 5, PLAN), ("foreign", {"operator": 2}, b"no plan")],
)
async def test_a_thief_of_all_orders_of_an_operator_gains_nothing_and_is_named(
    server, tmp_path, name, answer, key
):
    """The victim is late for everything; the ceremony ends without it, and says who did it."""
    ceremony, world = ceremony_input(f"thief-{name}"), World(silent={VICTIM})
    rubbish = Rubbish(answer)
    parties = {
        each: await connect(server, identity=each, converter=converter_for(PLAN))
        for each in ("coordinator", "op-1", "op-3", "op-4")
    }
    mallory = await connect(server, identity="mallory", converter=converter_for(key))
    kept = tmp_path / "thefts.json"
    thieves = Thieves([parties["coordinator"]], ceremony.ceremony_id, owners(ceremony), kept)
    async with AsyncExitStack() as stack:
        await serve(stack, coordinator_worker(parties["coordinator"], ceremony, world))
        for at in (1, 3, 4):
            await serve(stack, *operator_workers(parties[f"op-{at}"], ceremony, world, at))
        await serve(stack, *thieving(mallory, ceremony, rubbish))
        handle = await begun(parties["coordinator"], ceremony, CeremonyWorkflow.run, ceremony)
        await handle.result()
        await thieves.look()
    assert {"share", "endorse"} <= set(rubbish.taken)
    assert not any(at == VICTIM for _, at, _ in world.orders)
    assert ("published", "") in world.statements
    (theft,) = thieves.found
    assert (theft.owner, theft.thief) == ("op-2", "mallory")
    assert 0 < theft.orders <= len(rubbish.taken)  # who answers too late is in no history
    assert theft.party == "mallory in the place of op-2"
    assert read_thefts(kept) == thieves.found
    again = Thieves([parties["coordinator"]], ceremony.ceremony_id, owners(ceremony), kept)
    await again.look()
    assert again.found == thieves.found


async def test_without_a_thief_nobody_is_named(server, tmp_path):
    ceremony, world = ceremony_input("honest"), World()
    clients = [await connect(server, identity=f"op-{at}") for at in EVERYONE]
    coordinator = await connect(server, identity="coordinator")
    kept = tmp_path / "thefts.json"
    async with AsyncExitStack() as stack:
        await serve(stack, coordinator_worker(coordinator, ceremony, world))
        for at, client in enumerate(clients, 1):
            await serve(stack, *operator_workers(client, ceremony, world, at))
        handle = await begun(
            coordinator, ceremony, BatchWorkflow.run, BatchInput(ceremony, "N", 0), "batch"
        )
        await handle.result()
        thieves = Thieves([coordinator], ceremony.ceremony_id, owners(ceremony), kept)
        await thieves.look()
    assert thieves.found == ()
    assert not kept.exists()


async def test_every_event_is_read_once(server, tmp_path, monkeypatch):
    """Looking again at what runs takes one page each, and at what has ended none."""
    ceremony, world = ceremony_input("once"), World()
    client = await connect(server, identity="mallory")
    read = counting(client, monkeypatch)
    thieves = Thieves([client], ceremony.ceremony_id, owners(ceremony), tmp_path / "thefts.json")
    async with AsyncExitStack() as stack:
        await serve(stack, coordinator_worker(client, ceremony, world))
        for at in EVERYONE[:-1]:
            await serve(stack, *operator_workers(client, ceremony, world, at))
        handle = await begun(
            client, ceremony, BatchWorkflow.run, BatchInput(ceremony, "N", 0), "batch"
        )
        taken = 0
        while taken < len(EVERYONE) - 1:
            await thieves.look()
            taken = sum(theft.orders for theft in thieves.found)
        before = len(read)
        await thieves.look()
        assert len(read) == before + 1
        await serve(stack, *operator_workers(client, ceremony, world, EVERYONE[-1]))
        await handle.result()
        await thieves.look()
    fresh = Thieves([client], ceremony.ceremony_id, owners(ceremony), tmp_path / "fresh.json")
    await fresh.look()
    assert found_by(thieves) == found_by(fresh)
    pages = len(read)
    await thieves.look()
    assert len(read) == pages


def found_by(thieves):
    return {(each.owner, each.thief): each.orders for each in thieves.found}


def counting(client, monkeypatch):
    """Return a list that has one item for every page of a history that is read from now on."""
    service, pages = client.workflow_service, []
    read = service.get_workflow_execution_history_reverse

    async def counted(request):
        pages.append(request)
        return await read(request)

    monkeypatch.setattr(service, "get_workflow_execution_history_reverse", counted)
    return pages


def test_the_name_of_a_thief_does_nothing_to_a_terminal(tmp_path):
    assert _printable("\x1b[2Jop-02\n\u202e") == "?[2Jop-02??"
    assert _printable("") == "a worker without a name"
    assert len(_printable("x" * 1000)) == 40
    assert Theft("op-02", "x", 1, "").party == "x in the place of op-02"


# -- what Temporal keeps --------------------------------------------------------------------------


async def test_a_history_holds_nothing_but_ciphertext(server):
    ceremony, world = ceremony_input("secret"), World()
    client = await connect(server, identity="all", converter=converter_for(PLAN))
    async with AsyncExitStack() as stack:
        await serve(stack, coordinator_worker(client, ceremony, world))
        for at in EVERYONE:
            await serve(stack, *operator_workers(client, ceremony, world, at))
        argument = BatchInput(ceremony, "N", 0)
        handle = await begun(client, ceremony, BatchWorkflow.run, argument, "batch")
        await handle.result()
        history = await handle.fetch_history()
    kept = b"".join(event.SerializeToString() for event in history.events)
    (payload,) = history.events[0].workflow_execution_started_event_attributes.input.payloads
    (plain,) = await PlanCodec(PLAN).decode([payload])
    assert b"plan_hash" in plain.data
    assert not any(text in kept for text in (b"plan_hash", b"envelope", b"json/plain"))


# -- namespaces -----------------------------------------------------------------------------------


async def namespace_at(server, name):
    """Return a client of a namespace that is made for a test."""
    client = await connect(server, identity="test")
    week = Duration(seconds=7 * 86_400)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=week)
    )
    found = await connect(server, identity=name, converter=converter_for(PLAN), namespace=name)
    while True:  # every part of the server learns of it in its own time
        try:
            await found.get_workflow_handle("none").describe()
        except RPCError as error:
            if "workflow" in error.message.lower():
                return found
        await asyncio.sleep(0.1)


def plan_of(ceremony):
    plan = board_plan()
    return replace(plan, ceremony_id=ceremony.ceremony_id)


async def test_a_ceremony_whose_operators_have_namespaces_of_their_own_ends(server, tmp_path):
    """Two of four work where the workflows are, one has a namespace, and one has died there."""
    places = {at: f"isolated-{at}" for at in (3, 4)}
    ceremony, world = ceremony_input("abroad"), World(silent={4})
    ceremony = replace(
        ceremony,
        operators=[
            replace(each, namespace=places.get(each.index, "")) for each in ceremony.operators
        ],
    )
    clients = {at: await namespace_at(server, name) for at, name in places.items()}
    names = {f"op-0{at}": name for at, name in places.items()}
    home = await connect(server, identity="coordinator", converter=converter_for(PLAN))
    abroad = await Abroad.reached(
        plan_of(ceremony), names, server, "coordinator", converter_for(PLAN)
    )
    async with AsyncExitStack() as stack:
        carrier = await abroad.carry(stack)
        here = coordinator_worker(home, ceremony, world, carrier.carry)
        await serve(stack, here)
        for at in (1, 2, 3):
            client = clients.get(at, home)
            await serve(stack, *operator_workers(client, ceremony, world, at))
        handle = await begun(home, ceremony, CeremonyWorkflow.run, ceremony)
        await handle.result()
        there = [each async for each in clients[3].list_workflows()]
        everywhere = [each async for each in home.list_workflows()]
    assert ("published", "") in world.statements
    assert {at for _, at, _ in world.orders} == {1, 2, 3}
    assert there
    assert {each.workflow_type for each in there} == {"ErrandWorkflow"}
    assert not any(each.workflow_type == "ErrandWorkflow" for each in everywhere)


async def test_who_has_no_namespace_is_refused_before_anything_runs(server):
    plan = board_plan()
    for names in ({"op-09": "default"}, {"op-01": "nowhere"}):
        with pytest.raises(CeremonyError) as refused:
            await Abroad.reached(plan, names, server, "coordinator", converter_for(PLAN))
        assert refused.value.code == "RF-TEMP-008"


async def test_a_coordinator_that_comes_back_joins_the_errand_that_it_began(server):
    """The order is given once, however often it is carried."""
    client = await namespace_at(server, "rejoined")
    ceremony, given = ceremony_input("errand"), []
    first, go_on = asyncio.Event(), asyncio.Event()

    @activity.defn(name="share")
    async def share(_order: Any) -> str:
        given.append(1)
        first.set()
        await go_on.wait()
        return "done"

    abroad = Abroad(SimpleNamespace(ceremony_id="errand"), {"rejoined": client})
    queue = ceremony.operators[0].compute
    async with AsyncExitStack() as stack:
        carrier = await abroad.carry(stack)
        await serve(stack, Worker(client, task_queue=queue, activities=[share]))
        one = await carrier._begin_named("x", _errand("rejoined", queue))
        await first.wait()
        other = await carrier._begin_named("x", _errand("rejoined", queue))
        go_on.set()
        assert [await each.result() for each in (one, other)] == ["done", "done"]
        late = await carrier._begin_named("x", _errand("rejoined", queue))
        assert await late.result() == "done"
    assert given == [1]


def _errand(namespace, queue):
    return Errand(namespace, queue, "share", None, 60.0, 60.0, 30.0)
