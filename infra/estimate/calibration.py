"""Measures the table of overheads by whole ceremonies: `ringforge estimate --calibrate`.

Two sandboxes of the set `test`, of different sizes, are run on this machine. What their processes
spent beyond the predicted arithmetic and bytes is what entries and the time that passes cost; the
table of the program says in which proportion, the runs how much on this machine. The result is kept
in the user's cache and used from then on.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from infra.estimate.costs import OVERHEADS, Costs, Machine, Overheads
from infra.estimate.kernels import measure_costs
from infra.estimate.log import COORDINATOR
from infra.estimate.model import estimate
from infra.files import make_directory, write_atomic
from infra.party.rules import layout_of
from infra.plan import load_signed_plan
from infra.sandbox.warm import cache_folder, kernel_environment
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from infra.estimate.model import Estimate
    from mpc_core.protocol.plan import Plan

__all__ = ["Run", "calibrate", "fit", "known_overheads"]

COMMITTEES = ((4, 1), (7, 2))
NAME = "overheads.json"
NOTHING = Overheads(**dict.fromkeys((each.name for each in fields(Overheads)), 0.0))
FREE = Costs({}, {}, *[0.0] * 9)
SERVER, OPERATORS = -1, 1
_OF_PARTIES = {
    OPERATORS: ("entry_operator", "second_operator"),
    COORDINATOR: ("entry_coordinator", "second_coordinator"),
    SERVER: ("order_server", "second_server"),
}
"""What the parties do beside arithmetic and bytes: for each thing counted, and in each second."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a finished sandbox spent beyond the start of its processes, and what it did.

    Attributes:
        plan: its plan.
        costs: measured beside it.
        cores: of the machine.
        wall_seconds: from start to announcement.
        operator_cpu_seconds: of an operator's process, the mean.
        coordinator_cpu_seconds: of the coordinator's.
        other_cpu_seconds: of the Temporal server and the supervisor.
    """

    plan: Plan
    costs: Costs
    cores: int
    wall_seconds: float
    operator_cpu_seconds: float
    coordinator_cpu_seconds: float
    other_cpu_seconds: float

    def spent(self, party: int) -> float:
        """Return the CPU seconds of a party; of operators the mean."""
        others = {COORDINATOR: self.coordinator_cpu_seconds, SERVER: self.other_cpu_seconds}
        return others.get(party, self.operator_cpu_seconds)

    @property
    def machine(self) -> Machine:
        """The machine, with all parties on it."""
        return Machine(0.0, 0.0, self.cores, self.plan.count, sandbox=True)


def known_overheads() -> Overheads:
    """Return the table that was measured on this machine, else the one of the program."""
    try:
        found = json.loads(_path().read_bytes())
        return Overheads(**{each.name: float(found[each.name]) for each in fields(Overheads)})
    except (OSError, ValueError, TypeError, KeyError):
        return OVERHEADS


def calibrate(say: Callable[[str], None]) -> Overheads:
    """Run ceremonies, fit the table, and keep it.

    Raises:
        CeremonyError: RF-RUN-014 if a ceremony fails; RF-DISK-001 or -002 if the disk refuses.
    """
    starts = {name: _cpu_of_import(name) for name in ("infra.operator", "infra.coordinator")}
    known = replace(
        NOTHING,
        start_operator=starts["infra.operator"],
        start_coordinator=starts["infra.coordinator"],
    )
    with tempfile.TemporaryDirectory() as folder:
        runs = [_run(Path(folder), n, t, say) for n, t in COMMITTEES]
    found = fit(runs, known)
    make_directory(_path().parent)
    write_atomic(_path(), json.dumps(asdict(found), indent=1).encode())
    return found


def fit(runs: Sequence[Run], known: Overheads) -> Overheads:
    """Return the table that explains the runs.

    Args:
        runs: two runs of different sizes.
        known: the table with what is known; the rest is fitted.
    """
    found = known
    for party, names in _OF_PARTIES.items():
        factor = _factor(runs, known, party, names)
        found = replace(found, **{name: factor * getattr(OVERHEADS, name) for name in names})
    idle = [run.wall_seconds - _estimate(run, run.costs, found).wall_seconds for run in runs]
    return replace(found, idle_seconds=max(sum(idle) / len(idle), 0.0))


def _factor(runs: Sequence[Run], known: Overheads, party: int, names: tuple[str, str]) -> float:
    """Return how much slower than the table's this machine is at what a party does besides."""
    spent = sum(
        run.spent(party) - _cpu(_estimate(run, run.costs, known), run, party) for run in runs
    )
    return max(spent, 0.0) / sum(_beside(run, party, names) for run in runs)


def _beside(run: Run, party: int, names: tuple[str, str]) -> float:
    """Return what a party spends by the table on entries or orders, and on the seconds of a run."""
    counted, each_second = (float(getattr(OVERHEADS, name)) for name in names)
    found = _estimate(run, FREE, replace(NOTHING, **{names[0]: counted}))
    return _cpu(found, run, party) + each_second * run.wall_seconds


def _cpu(found: Estimate, run: Run, party: int) -> float:
    """Return the predicted CPU time of a party; of operators the mean."""
    if party == SERVER:
        return found.server_cpu_seconds
    if party == COORDINATOR:
        return found.spent(party).cpu_seconds
    count = run.plan.count
    return sum(found.spent(index).cpu_seconds for index in range(1, count + 1)) / count


def _estimate(run: Run, costs: Costs, overheads: Overheads) -> Estimate:
    return estimate(run.plan, layout_of(run.plan), costs, overheads, run.machine)


def _run(folder: Path, n: int, t: int, say: Callable[[str], None]) -> Run:
    """Run one ceremony to its end and return what it spent."""
    say(f"running a ceremony of {n} operators (about a minute) ...")
    command = [sys.executable, "-m", "infra.cli", "sandbox", "--dir", str(folder), "--id", f"n{n}"]
    command += ["--operators", str(n), "--threshold", str(t), "--json"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise CeremonyError(
            "RF-RUN-014",
            "a ceremony that was to be measured failed",
            expected="exit code 0",
            found=f"exit code {done.returncode}",
            effect="the table of overheads stays as it was",
            next_step="run `ringforge sandbox` and see what it says",
            runbook="start",
        )
    report = json.loads((folder / f"n{n}" / "report.json").read_bytes())
    operators = [party["cpu_seconds"] for party in report["operators"]]
    coordinator = report["coordinator"]["cpu_seconds"]
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    plan = load_signed_plan(folder / f"n{n}").plan
    return Run(
        plan=plan,
        costs=measure_costs(plan, layout_of(plan), lambda _: None),
        cores=report["machine"]["cpus"],
        wall_seconds=wall,
        operator_cpu_seconds=sum(operators) / n,
        coordinator_cpu_seconds=coordinator,
        other_cpu_seconds=max(spent - sum(operators) - coordinator, 0.0),
    )


def _cpu_of_import(module: str) -> float:
    """Return the CPU seconds of a process that loads a party's program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = kernel_environment(cache_folder())
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True, env=environment)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _path() -> Path:
    return platformdirs.user_cache_path("ringforge") / NAME
