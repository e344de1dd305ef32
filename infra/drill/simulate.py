"""`ringforge drill simulate`: ceremonies in memory by the thousand, each under its own schedule.

Whatever is done to a ceremony, it must end, no honest operator may be excluded, no mask may be used
twice, and its key set must be that of every other ceremony with the same setup and the same valid
blames and corrections. The first schedule that shows otherwise is made as simple as possible.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from activities.seal import KEY_SHARE
from infra.drill.engine import Engine, StallError
from infra.drill.insecure_key import insecurely_joined_key, same_key
from infra.drill.schedule import draw_schedule
from infra.drill.watch import BrokenError
from mpc_core.adversary.registry import ADVERSARIES
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.drill.engine import Ended
    from infra.drill.schedule import Schedule

__all__ = ["SimulateOptions", "Simulation", "simulate_command"]

_MOST_TRIES = 200
"""Ceremonies that are run to make a schedule simpler."""
_PROGRESS_SECONDS = 10.0

Expected = dict[tuple[int, bytes, tuple[str, ...]], bytes]


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What a person asks of a drill.

    Attributes:
        schedules: how many.
        seed: of the first schedule; the next one has the next number.
        operators: in every ceremony; 4, 7, 10 or 13 by default, as the seed says.
        replay: whether to show the schedule of the seed and all that it does, and nothing else.
    """

    schedules: int
    seed: int
    operators: int | None = None
    replay: bool = False


@dataclass(slots=True)
class Simulation:
    """Ceremonies that were run, and the key sets that they made.

    Attributes:
        expected: the key set for each setup and each list of burnt batches.
        counts: how often each kind of disturbance was survived.
        sizes: how many ceremonies had so many operators.
    """

    expected: Expected = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)

    def attempt(self, schedule: Schedule) -> Ended:
        """Run one ceremony.

        Raises:
            StallError: if it does not end.
            BrokenError: if it breaks a rule, or ends with another key set than it must.
            CeremonyError: RF-DRILL-004 if the final shares are not those of one key.
        """
        engine = Engine(schedule)
        ended = engine.run()
        self.check(engine, ended)
        self.sizes[schedule.n] += 1
        self.counts.update(schedule.counts())
        return ended

    def check(self, engine: Engine, ended: Ended) -> None:
        """Check what came of a ceremony.

        Raises:
            BrokenError: if it ended with another key set than it must.
            CeremonyError: RF-DRILL-004 if the final shares are not those of one key.
        """
        place = (engine.schedule.n, ended.setup, ended.burnt)
        if self.expected.setdefault(place, ended.digest) != ended.digest:
            raise BrokenError("the same setup and the same burnt batches gave another key set")
        check_shares(engine)

    def fails(self, schedule: Schedule) -> Exception | None:
        """Return what is wrong with a schedule, None if it is survived."""
        try:
            self.attempt(schedule)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is what was looked for
            return failure
        return None

    def simplest(self, schedule: Schedule, failure: Exception) -> Schedule:
        """Return a schedule with fewer disturbances that fails in the same way."""
        tries = 0
        while True:
            for simpler in schedule.simpler():
                if tries >= _MOST_TRIES:
                    return schedule
                tries += 1
                if simpler != schedule and type(self.fails(simpler)) is type(failure):
                    schedule = simpler
                    break
            else:
                return schedule


def check_shares(engine: Engine) -> None:
    """Check that the honest operators hold shares of one binary key.

    Raises:
        CeremonyError: RF-DRILL-004 otherwise.
    """
    here = [each for each in engine.honest() if each.vault.read(KEY_SHARE) is not None]
    enough = engine.plan.threshold + 1
    keys = [
        insecurely_joined_key(engine.plan, engine.layout, {each.index: each for each in group})
        for group in (here[:enough], here[-enough:])
    ]
    if not same_key(*keys):
        raise BrokenError("two groups of t+1 operators hold different keys")


def simulate_command(options: SimulateOptions, say: Callable[[str], None]) -> Simulation:
    """Run schedule after schedule, and say how often each kind of disturbance was survived.

    Raises:
        CeremonyError: RF-DRILL-003 for the first schedule that was not survived.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    simulation = Simulation()
    begun = said = time.monotonic()
    for number in range(1 if options.replay else options.schedules):
        schedule = draw_schedule(options.seed + number, options.operators, tuple(ADVERSARIES))
        if options.replay:
            say(str(schedule))
        failure = simulation.fails(schedule)
        if failure is not None:
            raise _failed(simulation, schedule, failure, say)
        now = time.monotonic()
        if now - said >= _PROGRESS_SECONDS:
            rate = 60 * (number + 1) / (now - begun)
            say(f"{number + 1} of {options.schedules} schedules survived, {rate:.0f} a minute")
            said = now
    say(_table(simulation))
    return simulation


def _failed(
    simulation: Simulation, schedule: Schedule, failure: Exception, say: Callable[[str], None]
) -> CeremonyError:
    say(f"{schedule}\nnot survived: {_line(failure)}\nlooking for a simpler schedule ...")
    simple = simulation.simplest(schedule, failure)
    say(str(simple))
    last = simulation.fails(simple) or failure
    say(str(last))
    return CeremonyError(
        "RF-DRILL-003",
        f"a ceremony in memory did not survive schedule {schedule.seed}",
        expected="a key set, as the undisturbed ceremony's, and no honest operator excluded",
        found=_line(last),
        effect="the drill has found a defect",
        next_step=f"ringforge drill simulate --replay --seed {schedule.seed} "
        f"--operators {schedule.n}",
        runbook="drills",
    )


def _line(failure: Exception) -> str:
    first = str(failure).partition("\n")[0]
    if isinstance(failure, (StallError, BrokenError, CeremonyError)):
        return first
    return f"{type(failure).__name__}: {first}"


def _table(simulation: Simulation) -> str:
    total = sum(simulation.sizes.values())
    sizes = ", ".join(f"{count} with {n}" for n, count in sorted(simulation.sizes.items()))
    lines = [f"{total} schedules survived ({sizes} operators), with"]
    lines += [f"{count:>8}  {kind}" for kind, count in sorted(simulation.counts.items())]
    return "\n".join(lines)
