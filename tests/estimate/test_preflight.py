"""Whether memory and disk suffice is asked before anything is started."""

import dataclasses
import json

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.estimate import preflight
from infra.estimate.preflight import Room, check_operator, check_sandbox, room_at
from infra.estimate.storage import storage_of
from infra.estimate.words import size_text
from infra.homes import Home
from infra.party.rules import layout_of
from infra.plan.sandbox import sandbox_plan
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.quorum import Quorum
from mpc_core.tfhe.parameters import lookup

MUCH = Room(1 << 50, 1 << 50)


@pytest.fixture(scope="module")
def small():
    plan = sandbox_plan(operators=4, threshold=1, parameters="test", waiting_seconds=60).signed.plan
    return plan, layout_of(plan)


def _needed(plan, layout):
    storage = storage_of(
        lookup(plan.parameters), layout, Quorum.of(plan), plan.layout.batches_in_flight
    )
    return storage.machine_memory(4), storage.machine_disk(4)


def test_what_is_just_enough_is_enough(small, tmp_path):
    memory, disk = _needed(*small)
    check_sandbox(*small, tmp_path, Room(memory, disk))
    check_sandbox(*small, tmp_path, Room(None, None))


def test_too_little_memory_is_refused_with_what_is_needed_and_what_is_there(small, tmp_path):
    memory, _ = _needed(*small)
    with pytest.raises(CeremonyError) as refused:
        check_sandbox(*small, tmp_path, Room(memory - 1, MUCH.disk))
    error = refused.value
    assert error.code == "RF-RUN-015"
    assert error.expected.startswith(f"{size_text(memory)}: 4 times")
    assert error.found.endswith("available")
    assert "--operators" in error.next_step


def test_too_little_disk_is_refused_with_the_options_that_reduce_it(small, tmp_path):
    _, disk = _needed(*small)
    with pytest.raises(CeremonyError) as refused:
        check_sandbox(*small, tmp_path, Room(MUCH.memory, disk - 1))
    error = refused.value
    assert error.code == "RF-RUN-016"
    assert str(tmp_path) in error.found
    for option in ("--dir", "--operators", "--scale"):
        assert option in error.next_step


def test_an_operator_is_refused_a_disk_that_is_too_small_until_it_has_begun(small, tmp_path):
    plan, layout = small
    storage = storage_of(
        lookup(plan.parameters), layout, Quorum.of(plan), plan.layout.batches_in_flight
    )
    home = Home(tmp_path / "op-01")
    home.make()
    little = Room(MUCH.memory, storage.operator_disk - 1)
    with pytest.raises(CeremonyError) as refused:
        check_operator(plan, layout, home, little)
    assert refused.value.code == "RF-RUN-016"
    assert refused.value.expected.startswith(size_text(storage.operator_disk))
    with_others = dataclasses.replace(home, shared_openings=tmp_path / "shared")
    check_operator(plan, layout, with_others, Room(MUCH.memory, storage.operator_own))
    home.log_copy.touch()
    check_operator(plan, layout, home, little)


def test_an_operator_whose_memory_does_not_suffice_is_refused(small, tmp_path):
    plan, layout = small
    home = Home(tmp_path / "op-01")
    home.make()
    with pytest.raises(CeremonyError) as refused:
        check_operator(plan, layout, home, Room(1 << 20, MUCH.disk))
    assert refused.value.code == "RF-RUN-015"
    assert "batches_in_flight" in refused.value.next_step


def test_more_batches_in_flight_take_more_memory(small):
    plan, layout = small
    quorum, parameters = Quorum.of(plan), lookup("test")
    few, many = (storage_of(parameters, layout, quorum, count) for count in (1, 8))
    assert few.operator_memory < many.operator_memory
    assert few.vectors < many.vectors
    assert (
        few.openings
        == many.openings
        == sum(batch.opened_bytes for stage in "NSMO" for batch in layout.stage(stage))
    )


def test_what_the_stages_take_adds_up_to_what_an_operator_takes(small):
    plan, layout = small
    storage = storage_of(lookup(plan.parameters), layout, Quorum.of(plan), 3)
    rooms = storage.stages.values()
    assert sum(room.disk for room in rooms) == storage.openings + storage.shares
    assert max(room.memory for room in rooms) == storage.operator_memory


def test_a_sandbox_that_does_not_fit_is_exit_code_1_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "room_at", lambda _: Room(MUCH.memory, 1000))
    result = CliRunner().invoke(app, ["sandbox", "--dir", str(tmp_path / "here"), "--json"])
    assert result.exit_code == 1
    event = json.loads(result.stdout)
    assert (event["code"], event["effect"]) == ("RF-RUN-016", "nothing was started")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_what_the_system_says(tmp_path, monkeypatch):
    source = tmp_path / "meminfo"
    source.write_text("MemTotal:  100 kB\nMemAvailable:   64 kB\n")
    monkeypatch.setattr(preflight, "MEMORY_FILE", source)
    found = room_at(tmp_path / "not" / "made" / "yet")
    assert found.memory == 64 * 1024
    assert found.disk > 0
    source.write_text("MemTotal:  100 kB\n")
    assert room_at(tmp_path).memory is None
    monkeypatch.setattr(preflight, "MEMORY_FILE", tmp_path / "missing")
    assert dataclasses.replace(room_at(tmp_path), disk=None) == Room(None, None)
