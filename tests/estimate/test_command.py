"""`ringforge estimate`: its options, its table, its JSON, and what it measures."""

import json
import os

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.estimate import command, kernels
from infra.estimate.command import parse_bandwidth, parse_seconds
from infra.estimate.kernels import measure_costs
from infra.estimate.nominal import NOMINAL
from infra.plan.sandbox import sandbox_plan


@pytest.fixture
def run(monkeypatch):
    """Run the command with costs that need not be measured."""
    monkeypatch.setattr(command, "warm_kernels", lambda folder, say: say("kernels"))
    monkeypatch.setattr(command, "measure_costs", lambda plan, layout, say: NOMINAL)
    monkeypatch.setenv("NUMBA_CACHE_DIR", os.environ.get("NUMBA_CACHE_DIR", ""))  # restored
    return lambda *arguments: CliRunner().invoke(app, ["estimate", *map(str, arguments)])


def test_json_says_time_bytes_memory_and_disk_of_every_operator_and_stage(run):
    result = run("--parameters", "test", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert set(found["parties"]) == {"op-01", "op-02", "op-03", "op-04", "coordinator"}
    for party in found["parties"].values():
        assert {"keys", "N", "S", "M", "seal", "O"} <= party["stages"].keys()
        for figure in ("cpu_seconds", "sent_bytes", "received_bytes"):
            parts = [stage[figure] for stage in party["stages"].values()]
            assert party["in_all"][figure] == pytest.approx(sum(parts))
    assert found["machine"] == {
        "bandwidth": 1e9,
        "rtt": 0.08,
        "cores": found["machine"]["cores"],
        "operators": 1,
        "sandbox": False,
    }
    for key in ("wall_seconds", "cpu_seconds", "operator_memory_bytes", "operator_disk_bytes"):
        assert found[key] > 0


def test_the_table_names_what_is_scarce(run):
    printed = run("--parameters", "mainnet", "--bandwidth", "10Mbps", "--cores", "64").stdout
    row = next(line for line in printed.splitlines() if line.startswith("N, S, M"))
    assert "link" in row
    assert "round trips of 80 ms" in printed
    assert "64 cores" in printed


def test_a_sandbox_has_no_network_and_shares_its_machine(run):
    found = json.loads(run("--parameters", "test", "--sandbox", "--cores", 2, "--json").stdout)
    assert found["machine"]["operators"] == 4
    assert (found["machine"]["bandwidth"], found["machine"]["rtt"]) == (0, 0)
    shared = json.loads(
        run("--parameters", "test", "--operators-per-machine", 4, "--cores", 2, "--json").stdout
    )
    assert shared["machine"]["operators"] == 4


def test_a_plan_says_the_same_as_its_parameters(run, tmp_path):
    parties = sandbox_plan(operators=7, threshold=2, parameters="test", waiting_seconds=60)
    path = tmp_path / "plan.toml"
    path.write_bytes(parties.signed.toml)
    from_plan = json.loads(run("--plan", path, "--json").stdout)
    from_options = json.loads(run("--parameters", "test", "--operators", 7, "--json").stdout)
    assert from_plan == from_options
    assert (from_plan["operators"], from_plan["threshold"]) == (7, 2)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--plan", "missing.toml"), "RF-PLAN-012"),
        (("--parameters", "toast"), "RF-PLAN-001"),
        (("--operators", "3"), "RF-PLAN-002"),
    ],
)
def test_a_plan_that_cannot_be_is_explained(run, arguments, code):
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(code)


@pytest.mark.parametrize("arguments", [("--bandwidth", "fast"), ("--rtt", "80"), ("--cores", "0")])
def test_a_figure_without_a_meaning_is_wrong_use(run, arguments):
    assert run(*arguments).exit_code == 2


def test_units():
    assert parse_bandwidth("1Gbps") == 1e9
    assert parse_bandwidth(" 2.5 Mbps") == 2.5e6
    assert parse_seconds("80ms") == pytest.approx(0.08)
    assert parse_seconds("1.5 s") == 1.5


def test_every_kind_of_batch_is_measured(small, monkeypatch):
    monkeypatch.setattr(kernels, "MOST_POSITIONS", 1 << 10)
    monkeypatch.setattr(kernels, "LEAST_POSITIONS", 1 << 10)
    monkeypatch.setattr(kernels, "BODIES", 1 << 9)
    monkeypatch.setattr(kernels, "REPETITIONS", 1)
    costs = measure_costs(*small, lambda _: None)
    layout = small[1]
    measured = {
        (batch.purpose, batch.word_bits)
        for stage in "NSMO"
        for batch in layout.stage(stage)
        if batch.purpose in kernels.MEASURED
    }
    assert costs.elements.keys() == measured
    # what an answer takes is a difference of two times, which can vanish for so few positions
    assert all(each.open > 0 and each.answer >= 0 for each in costs.elements.values())
    assert all(
        each.share > 0 and each.keep > 0
        for (purpose, _), each in costs.elements.items()
        if purpose != "bodies"
    )
    assert costs.rows.keys() == {
        run.item for batch in layout.assembly if batch.purpose == "bodies" for run in batch.segments
    }
    for figure in (costs.hash_byte, costs.receive_byte, costs.keep_byte, costs.export_byte):
        assert figure > 0
