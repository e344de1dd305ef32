"""Recorded histories gate every change of a workflow: it must order what it has ordered.

A deliberate change needs new recordings (`tests/replay/record.py`) and a new version for whoever
has a ceremony running: workflows are pinned to the version that began them.
"""

from __future__ import annotations

import gzip
import json
import platform
import re
from base64 import b64decode
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from infra.coordinator.process import WORKFLOWS
from tests.replay.record import HISTORIES

FILES = sorted(HISTORIES.glob("*.json.gz"))
PAYLOAD_BYTES = 4096
BATCH_EVENTS = 100


def read(file):
    return json.loads(gzip.decompress(file.read_bytes()))


def recorded(name):
    return next(file for file in FILES if file.name.startswith(name))


async def replay(history):
    replayer = Replayer(workflows=WORKFLOWS)
    await replayer.replay_workflow(WorkflowHistory.from_json("recorded", history))


def payloads(value):
    if isinstance(value, dict):
        if {"metadata", "data"} <= value.keys():
            yield b64decode(value["data"])
        for part in value.values():
            yield from payloads(part)
    elif isinstance(value, list):
        for part in value:
            yield from payloads(part)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".json.gz"))
async def test_workflows_order_what_they_ordered_when_they_were_recorded(file):
    await replay(read(file))


def test_every_workflow_of_a_ceremony_is_recorded():
    kinds = {file.name.partition(".")[0] for file in FILES}
    assert kinds == {kind.__name__ for kind in WORKFLOWS} - {"DecryptionWorkflow"}


@pytest.mark.parametrize("name", ["BatchWorkflow", "CeremonyWorkflow", "SealWorkflow"])
async def test_a_workflow_that_orders_something_else_fails_the_replay(name):
    history = read(recorded(name))
    for event in history["events"]:
        scheduled = event.get("activityTaskScheduledEventAttributes")
        if scheduled is not None:
            scheduled["activityType"]["name"] = "something_else"
            break
    with pytest.raises(NondeterminismError):
        await replay(history)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".json.gz"))
def test_nothing_large_crosses_temporal(file):
    sizes = [len(data) for data in payloads(read(file))]
    assert sizes
    assert max(sizes) <= PAYLOAD_BYTES


def test_a_batch_costs_few_events():
    for file in FILES:
        if file.name.startswith("BatchWorkflow"):
            assert len(read(file)["events"]) <= BATCH_EVENTS


def test_recordings_are_small_and_name_no_machine():
    for file in FILES:
        text = gzip.decompress(file.read_bytes()).decode()
        for path in (str(Path.home()), str(Path(__file__).parents[2]), "/tmp/"):
            assert path not in text
        # Signatures are base64, in which a short name may occur by chance.
        name = re.escape(platform.node())
        assert not re.search(rf"(?<![A-Za-z0-9+/]){name}(?![A-Za-z0-9+/=])", text)
        assert file.stat().st_size < 200_000
