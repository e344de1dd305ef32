"""`ringforge estimate --compare`: what a ceremony took beside what was predicted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from infra.estimate.comparison import compare, comparison_table, machine_of, read_report
from infra.estimate.costs import OVERHEADS, Machine
from infra.estimate.model import estimate
from infra.estimate.nominal import NOMINAL
from mpc_core.protocol.errors import CeremonyError

LINE = {"rate_bits_per_second": 100_000_000, "delay_seconds": 0.04}


def report_of(found, count: int, **changes):
    """A report that says what was predicted."""
    operators = [
        {
            "cpu_seconds": found.spent(index).cpu_seconds,
            "sent_bytes": found.spent(index).traffic.out,
            "peak_memory_bytes": found.storage.operator_memory,
        }
        for index in range(1, count + 1)
    ]
    return {
        "machine": {"cpus": 2},
        "wall_seconds": found.wall_seconds,
        "operators": operators,
        "coordinator": {"cpu_seconds": found.spent(0).cpu_seconds},
        "network": None,
        "peak_disk_bytes": found.storage.machine_disk(count),
    } | changes


@pytest.fixture
def predicted(small):
    plan, layout = small
    machine = Machine(0.0, 0.0, 2, plan.count, sandbox=True)
    return plan, estimate(plan, layout, NOMINAL, OVERHEADS, machine)


def test_a_prediction_that_came_true_is_off_by_nothing(predicted) -> None:
    plan, found = predicted
    rows = compare(plan, found, report_of(found, plan.count))
    assert [row.name for row in rows] == [
        "time",
        "CPU of an operator",
        "CPU of the coordinator",
        "sent by an operator",
        "memory of an operator",
        "disk of the machine",
    ]
    assert all(row.error == pytest.approx(0) for row in rows)
    assert "more than" not in comparison_table(rows)


def test_a_figure_that_is_off_by_too_much_is_marked(predicted) -> None:
    plan, found = predicted
    report = report_of(found, plan.count, wall_seconds=found.wall_seconds / 1.2)
    time, *others = comparison_table(compare(plan, found, report)).splitlines()[1:]
    assert time.endswith("+20%  more than 15%")
    assert not any("more than" in line for line in others)


def test_a_report_that_looked_at_no_disk_is_not_compared_with_one(predicted) -> None:
    plan, found = predicted
    report = report_of(found, plan.count)
    del report["peak_disk_bytes"]
    assert len(compare(plan, found, report)) == 5


def test_the_machine_is_that_of_the_report(predicted) -> None:
    plan, found = predicted
    report = report_of(found, plan.count)
    assert machine_of(report) == Machine(0.0, 0.0, 2, 4, sandbox=True)
    shaped = machine_of(report | {"network": {"links": [LINE]}})
    assert shaped == replace(machine_of(report), bandwidth=400_000_000.0, rtt=0.08)


@pytest.mark.parametrize("content", [None, b"{", b"\xff"])
def test_a_folder_without_a_report_is_refused(tmp_path, content) -> None:
    if content is not None:
        (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(CeremonyError, match="RF-RUN-017"):
        read_report(tmp_path)


def test_what_is_read_is_the_report(tmp_path) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"wall_seconds": 3}))
    assert read_report(tmp_path) == {"wall_seconds": 3}
