"""`ringforge drill chaos`: ceremonies of real processes in which everything fails now and then.

All ceremonies are made from one setup seed, so those with the same contributors must end with the
same key set, unless a log shows a burn; and `verify` must find nothing wrong with any.
"""

from __future__ import annotations

import itertools
import shutil
import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.cli.ending import print_json
from infra.drill.chaos_progress import UNDISTURBED, Progress
from infra.drill.chaos_run import Outcome, Run, StuckError
from infra.drill.chaos_schedule import DATABASE, TEMPORAL, Scope, draw_schedule
from infra.drill.chaos_site import Site
from infra.drill.chaos_table import rows, table
from infra.plan import load_signed_plan
from infra.sandbox.options import SandboxOptions, open_ceremony
from infra.sandbox.stopping import signals_as_interrupt
from infra.sandbox.warm import cache_folder, warm_kernels
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from infra.drill.chaos_run import Happened
    from infra.drill.chaos_schedule import Disturbance
    from infra.homes import CeremonyFolder

__all__ = ["ChaosOptions", "ChaosResult", "chaos_command", "run_chaos"]

SETUP_SEED = "c4a05c4a05c4a05c"
"""From which all secrets of all these ceremonies follow."""

POINTS = 36
"""Steps and batches of a ceremony of the set `test`: 4 of the keys, 30 batches, the seal."""


@dataclass(frozen=True, slots=True)
class ChaosOptions:
    """What a person asks of a drill.

    Attributes:
        kills: number of disturbances after which no further ceremony begins.
        seed: of the first ceremony; the next one has the next number.
        directory: where the ceremonies are; those that end well are removed.
        waiting_seconds: before an operator may be written off.
        patience_seconds: how long a ceremony may make no step.
        per_ceremony: disturbances of a ceremony, None for a few.
        postgresql: folder of the programs of PostgreSQL, to have the log in a server of it.
    """

    kills: int
    seed: int
    directory: Path
    waiting_seconds: float = 60.0
    patience_seconds: float = 600.0
    per_ceremony: int | None = None
    postgresql: Path | None = None


@dataclass(slots=True)
class ChaosResult:
    """What a drill has seen.

    Attributes:
        batch_seconds: median time between two batches of the undisturbed ceremony.
        happened: all disturbances.
        ended: processes that ended by themselves, with the reason.
        lost: operators that stayed away with a damaged vault.
        ceremonies: number of disturbed ceremonies, all of which ended well.
        compared: how many of them had the contributors of an earlier one, and its key set.
    """

    batch_seconds: float
    happened: Sequence[Happened]
    ended: Sequence[str]
    lost: int
    ceremonies: int
    compared: int

    def as_dict(self) -> dict[str, object]:
        """Return the counts and the rows of the table, for `--json`."""
        return {
            "ceremonies": self.ceremonies,
            "disturbances": len(self.happened),
            "compared": self.compared,
            "ended": [*self.ended],
            "lost": self.lost,
            "batch_seconds": self.batch_seconds,
            "rows": rows(self.happened, self.batch_seconds),
        }

    def summary(self) -> str:
        """Return the counts in a sentence."""
        ended = f"; {len(self.ended)} processes ended by themselves" if self.ended else ""
        return (
            f"{len(self.happened)} disturbances in {self.ceremonies} ceremonies; the key sets of "
            f"{self.compared} were compared with others of the same contributors: equal{ended}"
        )


def chaos_command(options: ChaosOptions, *, as_json: bool) -> int:
    """Run a drill and show what came of it; return the exit code."""
    with signals_as_interrupt():
        result = run_chaos(options, _say)
    if as_json:
        print_json({"event": "drill", **result.as_dict()})
    else:
        sys.stdout.write(f"{table(result.happened, result.batch_seconds)}\n{result.summary()}\n")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def run_chaos(options: ChaosOptions, say: Callable[[str], None]) -> ChaosResult:
    """Disturb ceremony after ceremony, and check what comes of each.

    A drill that was stopped goes on after the last ceremony that ended.

    Args:
        options: how much.
        say: takes lines of progress.

    Raises:
        CeremonyError: RF-DRILL-001 if a ceremony makes no step any more, RF-DRILL-002 if it ends
            with another key set or verdict; its folder is kept.
    """
    warm_kernels(cache_folder(), say)
    asked = {"seed": options.seed, "per_ceremony": options.per_ceremony}
    progress = Progress.begin(options.directory, asked, options.seed)
    try:
        return _go_on(options, progress, say)
    except CeremonyError:
        progress.forget()
        raise


def _go_on(options: ChaosOptions, progress: Progress, say: Callable[[str], None]) -> ChaosResult:
    say("a ceremony that nobody disturbs ...")
    calm, outcome = _ceremony(options, UNDISTURBED, (), say)
    progress.references.check(calm, _replay(options, str(options.seed)))
    batch_seconds = _batch_seconds(outcome.steps)
    seconds = outcome.steps[-1] - outcome.steps[0]
    say(f"it took {seconds:.0f} s, a batch {batch_seconds:.2f} s")
    scope = _scope(options, calm)
    while len(progress.happened) < options.kills:
        _disturb(options, progress, scope, say)
    shutil.rmtree(calm.root)
    progress.forget()
    return ChaosResult(
        batch_seconds,
        progress.happened,
        progress.ended,
        progress.lost,
        progress.ceremonies,
        progress.compared,
    )


def _disturb(
    options: ChaosOptions, progress: Progress, scope: Scope, say: Callable[[str], None]
) -> None:
    """Disturb one ceremony, and note what came of it."""
    seed = progress.next_seed
    say(f"ceremony with seed {seed}, {len(progress.happened)} disturbances so far")
    folder, outcome = _ceremony(options, f"seed-{seed}", draw_schedule(seed, scope), say)
    progress.compared += progress.references.check(folder, _replay(options, str(seed)))
    progress.happened += outcome.happened
    progress.ended += outcome.ended
    progress.lost += len(outcome.lost)
    progress.ceremonies += 1
    progress.next_seed += 1
    progress.write()
    shutil.rmtree(folder.root)


def _scope(options: ChaosOptions, folder: CeremonyFolder) -> Scope:
    plan = load_signed_plan(folder.root).plan
    names = tuple(operator.name for operator in plan.operators)
    servers = (TEMPORAL,) if options.postgresql is None else (DATABASE, TEMPORAL)
    return Scope(names, plan.threshold, POINTS, servers, options.per_ceremony)


def _ceremony(
    options: ChaosOptions, name: str, schedule: Sequence[Disturbance], say: Callable[[str], None]
) -> tuple[CeremonyFolder, Outcome]:
    folder, plan = open_ceremony(
        SandboxOptions(
            directory=options.directory,
            identifier=name,
            waiting_seconds=options.waiting_seconds,
            setup_seed=SETUP_SEED,
        )
    )
    with folder.locked(), Site(folder, plan, options.postgresql) as site:
        try:
            return folder, Run(site, schedule, say, options.patience_seconds).run()
        except StuckError as error:
            again = _replay(options, name.removeprefix("seed-"))
            raise CeremonyError(
                "RF-DRILL-001",
                "a disturbed ceremony makes no step any more",
                expected="a ceremony that goes on once everything runs again",
                found=str(error),
                effect=f"the drill ends; its folder is kept: {folder.root}",
                next_step=f"read the process logs there; {again}",
                runbook="drills",
            ) from error


def _replay(options: ChaosOptions, seed: str) -> str:
    """Return how a person runs one ceremony again, under the same schedule."""
    chosen = {"--per-ceremony": options.per_ceremony, "--postgresql": options.postgresql}
    words = [f" {name} {value}" for name, value in chosen.items() if value is not None]
    return f"again: ringforge drill chaos --kills 1 --seed {seed}{''.join(words)}"


def _batch_seconds(steps: Sequence[float]) -> float:
    return statistics.median(after - before for before, after in itertools.pairwise(steps))
