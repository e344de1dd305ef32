"""`ringforge drill liar`: one operator lies; who is named, on what evidence, and what it costs.

The ceremony with the liar is compared with one of the same size in which everybody is honest: in
real processes by the time from the first step to the last, in memory by rounds and by the time that
the parties' clocks show, in which all waiting is.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from infra.cli.ending import print_json
from infra.drill.chaos_run import Run
from infra.drill.chaos_site import Site
from infra.drill.engine import Engine
from infra.drill.schedule import Schedule, largest_t
from infra.evidence import check_bundle, read_bundle, write_bundle
from infra.evidence.cases import bundle_of, cases_of
from infra.evidence.source import open_source
from infra.sandbox.options import SandboxOptions, open_ceremony
from infra.sandbox.stopping import signals_as_interrupt
from infra.sandbox.warm import cache_folder, warm_kernels
from infra.verify import Outcome as Verdict
from infra.verify import verify
from mpc_core.adversary.registry import ADVERSARIES, Outcome
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from infra.homes import CeremonyFolder

__all__ = ["Cost", "LiarOptions", "LiarResult", "liar_command", "liar_in_memory", "liar_in_process"]

SETUP_SEED = "11a511a511a511a5"
"""From which all secrets of these ceremonies follow."""

LIAR = 2
"""Seat of the liar."""

MEMORY_SEEDS = range(3)
"""Orders of turns in memory, of which the medians are shown."""


@dataclass(frozen=True, slots=True)
class LiarOptions:
    """What a person asks of a drill.

    Attributes:
        lie: which one, by its name in the registry of adversaries.
        operators: n; the liar is one of them.
        directory: where the ceremonies of processes are; evidence stays there.
        in_memory: whether to run ceremonies in memory, with small keys.
        patience_seconds: how long a ceremony may make no step.
    """

    lie: str
    operators: int
    directory: Path
    in_memory: bool = False
    patience_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a ceremony took without the liar and with it.

    Attributes:
        unit: of both numbers.
        honest: without the liar.
        lied_to: with it.
    """

    unit: str
    honest: float
    lied_to: float

    @property
    def ratio(self) -> float | None:
        """How many times as much the ceremony takes with the liar, if it takes any without."""
        return self.lied_to / self.honest if self.honest else None

    def __str__(self) -> str:
        times = "" if self.ratio is None else f"{self.ratio:.2f} times: "
        return f"{times}{self.lied_to:.1f} {self.unit}, not {self.honest:.1f}"


@dataclass(frozen=True, slots=True)
class LiarResult:
    """What came of a lie.

    Attributes:
        lie: its name.
        operators: n.
        liar: name of who lied.
        named: who was excluded.
        proven: what each file of evidence proves.
        costs: what the lie cost.
    """

    lie: str
    operators: int
    liar: str
    named: tuple[str, ...]
    proven: tuple[str, ...]
    costs: tuple[Cost, ...]

    def lines(self) -> list[str]:
        """Return the result for people."""
        named = ", ".join(self.named) or "nobody"
        first = f"{self.liar} of {self.operators} operators lies: {self.lie}; excluded: {named}"
        return [first, *self.proven, *(f"it takes {cost}" for cost in self.costs)]

    def as_dict(self) -> dict[str, object]:
        """Return the result for programs."""
        return {**asdict(self), "ratios": {cost.unit: cost.ratio for cost in self.costs}}


def liar_command(options: LiarOptions, *, as_json: bool) -> int:
    """Run a drill and show what came of it; return the exit code."""
    with signals_as_interrupt():
        run = liar_in_memory if options.in_memory else liar_in_process
        result = run(options, _say)
    if as_json:
        print_json({"event": "drill", **result.as_dict()})
    else:
        sys.stdout.write("\n".join(result.lines()) + "\n")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def liar_in_process(options: LiarOptions, say: Callable[[str], None]) -> LiarResult:
    """Run a ceremony of real processes with the liar, and one without.

    Raises:
        CeremonyError: RF-DRILL-008 if the lie is not answered as it must, RF-DRILL-007 if processes
            cannot tell it.
    """
    warm_kernels(cache_folder(), say)
    say("a ceremony in which everybody is honest ...")
    honest, folder = _timed(options, "honest", {}, say)
    shutil.rmtree(folder.root)
    liar = f"op-{LIAR:02}"
    say(f"a ceremony in which {liar} lies: {options.lie} ...")
    lied_to, folder = _timed(options, options.lie, {liar: options.lie}, say)
    named, proven = _evidence(folder, options.directory)
    _judge(options.lie, liar, named, folder.root)
    _compare_homes(options.lie, folder, liar)
    shutil.rmtree(folder.root)
    costs = (Cost("seconds", honest, lied_to),)
    return LiarResult(options.lie, options.operators, liar, named, proven, costs)


def liar_in_memory(options: LiarOptions, say: Callable[[str], None]) -> LiarResult:
    """Run ceremonies in memory with the liar, and as many without.

    Raises:
        CeremonyError: RF-DRILL-008 if the lie is not answered as it must.
    """
    honest, lied_to = [], []
    liar, excluded = "", set[int]()
    for seed in MEMORY_SEEDS:
        say(f"order of turns {seed}")
        honest.append(_measured(Schedule(seed, options.operators)))
        engine = Engine(Schedule(seed, options.operators, liars=((LIAR, options.lie),)))
        lied_to.append(_measured(engine.schedule, engine))
        liar = engine.plan.name_of(LIAR)
        excluded |= engine.log.state.members.excluded
    named = tuple(engine.plan.name_of(index) for index in sorted(excluded))
    _judge(options.lie, liar, named, None)
    costs = tuple(
        Cost(unit, *(statistics.median(each[at] for each in of) for of in (honest, lied_to)))
        for at, unit in enumerate(("rounds", "seconds of waiting", "CPU seconds"))
    )
    return LiarResult(options.lie, options.operators, liar, named, (), costs)


def _measured(schedule: Schedule, engine: Engine | None = None) -> tuple[float, float, float]:
    engine, began = engine or Engine(schedule), time.process_time()
    ended = engine.run()
    return ended.rounds, engine.clock.now, time.process_time() - began


def _timed(
    options: LiarOptions, name: str, lies: dict[str, str], say: Callable[[str], None]
) -> tuple[float, CeremonyFolder]:
    """Run a ceremony; return the seconds from its first step to its last, and its folder."""
    asked = SandboxOptions(
        directory=options.directory,
        identifier=name,
        operators=options.operators,
        threshold=largest_t(options.operators),
        setup_seed=SETUP_SEED,
    )
    folder, plan = open_ceremony(asked)
    with folder.locked(), Site(folder, plan, lies=lies) as site:
        steps = Run(site, (), say, options.patience_seconds).run().steps
    verdict = verify(folder.root)
    if verdict.outcome is not Verdict.OK:
        found = "; ".join(str(error) for error in verdict.errors)
        raise _unanswered(name, "a key set that verify finds valid", found, folder.root)
    return steps[-1] - steps[0], folder


def _evidence(folder: CeremonyFolder, directory: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write a file for each accusation that was confirmed, and check it as a third party does."""
    source = open_source(folder.root)
    excluded = source.state.members.excluded
    plan, proven = source.rules.plan, []
    for case in cases_of(source):
        if case.verdict.startswith("excluded"):
            path = directory / f"{folder.root.name}-evidence-{case.number}.cbor"
            write_bundle(path, bundle_of(source, case.number))
            found = check_bundle(read_bundle(path), plan.hash.hex())
            where = f"ground {found.ground}, batch {found.batch}"
            proven.append(f"{path} proves it of {found.operator}: {where}; {found.checks[-1]}")
    return tuple(plan.name_of(index) for index in sorted(excluded)), tuple(proven)


def _compare_homes(lie: str, folder: CeremonyFolder, liar: str) -> None:
    """Check that every honest operator's own records list the accusations of the transcript."""
    published = cases_of(open_source(folder.root))
    for home in sorted(folder.operator(liar).path.parent.iterdir()):
        own = cases_of(open_source(home))
        if home.name != liar and own != published:
            found = ", ".join(f"{case.accused} {case.ground}" for case in own) or "nobody"
            raise _unanswered(lie, "the accusations of the transcript", found, folder.root)


def _judge(lie: str, liar: str, named: tuple[str, ...], folder: Path | None) -> None:
    """Check that the liar was named if it can be, and nobody else ever."""
    wanted = (liar,) if ADVERSARIES[lie].outcome is Outcome.ATTRIBUTED else ()
    if named not in {wanted, (liar,)}:
        expected = f"excluded: {', '.join(wanted) or 'at most the liar'}"
        raise _unanswered(lie, expected, ", ".join(named) or "nobody", folder)


def _unanswered(lie: str, expected: str, found: str, folder: Path | None) -> CeremonyError:
    kept = f"; its folder is kept: {folder}" if folder else ""
    return CeremonyError(
        "RF-DRILL-008",
        f"a ceremony with the lie {lie} did not end as it must",
        expected=expected,
        found=found,
        effect=f"the drill ends{kept}",
        next_step=f"again: ringforge drill liar --lie {lie}",
        runbook="drills",
    )
