"""`ringforge estimate`: what a plan, or a parameter set and a committee, will take.

The costs of the arithmetic, of hashing, of TLS and of files are measured when the command runs;
what a batch costs beside them is a table that `--calibrate` measures by whole ceremonies.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.estimate.calibration import calibrate, known_overheads
from infra.estimate.comparison import compare, comparison_table, machine_of, read_report
from infra.estimate.costs import TYPICAL_BANDWIDTH, TYPICAL_RTT, Machine
from infra.estimate.kernels import measure_costs
from infra.estimate.model import estimate
from infra.estimate.table import as_values, render
from infra.leaves import hash_in_pairs
from infra.party.memory import keep_freed_memory
from infra.party.rules import layout_of
from infra.plan import load_signed_plan
from infra.plan.document import parse_plan
from infra.plan.sandbox import sandbox_plan
from infra.sandbox.warm import cache_folder, warm_kernels
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from pathlib import Path

    from mpc_core.protocol.plan import Plan

__all__ = ["EstimateOptions", "estimate_command", "parse_bandwidth", "parse_seconds"]

WAITING_SECONDS = 60.0
BANDWIDTH_UNITS = {"bps": 1.0, "kbps": 1e3, "mbps": 1e6, "gbps": 1e9}
TIME_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True, slots=True)
class EstimateOptions:
    """The options of `ringforge estimate`; what is None was not given.

    Attributes:
        plan: a plan.toml.
        parameters: name of a parameter set, instead of a plan.
        operators: n of it.
        threshold: t of it.
        bandwidth: bits a second.
        rtt: seconds.
        cores: of each machine.
        operators_per_machine: how many share one.
        sandbox: whether everything is on this machine.
        calibrate: whether to run ceremonies that measure the table of overheads first.
        compare: folder of a finished sandbox ceremony, instead of a plan and a machine.
    """

    plan: Path | None
    parameters: str
    operators: int
    threshold: int | None
    bandwidth: float | None
    rtt: float | None
    cores: int | None
    operators_per_machine: int | None
    sandbox: bool
    calibrate: bool
    compare: Path | None = None


def parse_bandwidth(text: str) -> float:
    """Return the bits a second that a text like "1Gbps" or "500 Mbps" says.

    Raises:
        ValueError: if it says none.
    """
    return _parse(text, BANDWIDTH_UNITS, "a bandwidth such as 1Gbps or 500Mbps")


def parse_seconds(text: str) -> float:
    """Return the seconds that a text like "80ms" says.

    Raises:
        ValueError: if it says none.
    """
    return _parse(text, TIME_UNITS, "a time such as 80ms")


def estimate_command(options: EstimateOptions, *, as_json: bool) -> int:
    """Measure, predict, and write the result to standard output.

    Returns:
        The exit code, 0.

    Raises:
        CeremonyError: RF-PLAN-* if there can be no such plan; what a ceremony of `--calibrate`
            raises.
    """
    report = None if options.compare is None else read_report(options.compare)
    plan = _plan(options)
    layout = layout_of(plan)
    machine = _machine(options, plan) if report is None else machine_of(report)
    folder = cache_folder()
    warm_kernels(folder, _say)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    keep_freed_memory()  # as the parties of a ceremony do
    hash_in_pairs()
    if options.calibrate:
        calibrate(_say)
    found = estimate(plan, layout, measure_costs(plan, layout, _say), known_overheads(), machine)
    rows = () if report is None else compare(plan, found, report)
    if as_json:
        measured = {
            row.name: {"predicted": row.predicted, "measured": row.measured} for row in rows
        }
        values = as_values(plan, machine, found) | ({"compared": measured} if rows else {})
        text = json.dumps(values, indent=2)
    else:
        text = comparison_table(rows) if rows else render(plan, machine, found)
    sys.stdout.write(text + "\n")
    return 0


def _plan(options: EstimateOptions) -> Plan:
    if options.compare is not None:
        return load_signed_plan(options.compare).plan
    if options.plan is None:
        count = options.operators
        threshold = (count - 1) // 3 if options.threshold is None else options.threshold
        return sandbox_plan(
            operators=count,
            threshold=threshold,
            parameters=options.parameters,
            waiting_seconds=WAITING_SECONDS,
        ).signed.plan
    try:
        data = options.plan.read_bytes()
    except OSError as error:
        raise CeremonyError(
            "RF-PLAN-012",
            f"{options.plan.name} cannot be read",
            expected="a plan.toml",
            found=error.strerror or type(error).__name__,
            effect="nothing was estimated",
            next_step="check the path given with --plan",
            runbook="start",
        ) from error
    return parse_plan(data).to_plan()


def _machine(options: EstimateOptions, plan: Plan) -> Machine:
    """Return where it will run: by default an operator a machine, or all of them on this one."""
    sandbox = options.sandbox
    bandwidth, rtt = (0.0, 0.0) if sandbox else (TYPICAL_BANDWIDTH, TYPICAL_RTT)
    cores = len(os.sched_getaffinity(0))
    operators = plan.count if sandbox else 1
    return Machine(
        bandwidth=bandwidth if options.bandwidth is None else options.bandwidth,
        rtt=rtt if options.rtt is None else options.rtt,
        cores=options.cores or cores,
        operators=min(options.operators_per_machine or operators, plan.count),
        sandbox=sandbox,
    )


def _parse(text: str, units: dict[str, float], expected: str) -> float:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)", text.strip())
    if match is None or match[2].lower() not in units:
        raise ValueError(f"expected {expected}")
    return float(match[1]) * units[match[2].lower()]


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
