"""What is done to a ceremony, when and to whom: drawn from a seed before anything is started.

A point is how many steps and batches are finished when a disturbance comes; a delay in seconds
follows, so that it hits anything from the middle of a computation to the write of a file.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from infra.plan.keys import COORDINATOR

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DATABASE", "TEMPORAL", "Disturbance", "Kind", "Scope", "draw_schedule"]

TEMPORAL, DATABASE = "temporal", "database"
"""Names of the processes that are no parties."""

FEWEST, MOST = 6, 14
"""Disturbances of a ceremony, unless a person wants so many."""

LONGEST_DELAY = 1.5
LONGEST_OUTAGE = 5.0
LONGEST_STANDSTILL = 12.0
WHOLE_SITE, SEVERAL = 0.1, 0.15
"""How many of the kills hit everything, and how many hit several operators."""


class Kind(StrEnum):
    """What is done; the text is the row of the table."""

    KILL = "killed"
    STOP = "stopped for a while"
    LOSE_WORK = "killed, work/ deleted"
    FLIP_WORK = "byte of work/ flipped"
    FLIP_SHARED = "byte of a shared opening flipped"
    FLIP_VAULT = "byte of vault/ flipped"
    FULL_DISK = "disk full for a while"
    CLOCK = "clock moved by an hour"


WEIGHTS = {
    Kind.KILL: 8,
    Kind.STOP: 3,
    Kind.LOSE_WORK: 2,
    Kind.FLIP_WORK: 4,
    Kind.FLIP_SHARED: 1,
    Kind.FLIP_VAULT: 1,
    Kind.FULL_DISK: 3,
    Kind.CLOCK: 2,
}


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One disturbance.

    Attributes:
        point: finished steps and batches at which it is due.
        delay: seconds after that.
        kind: what is done.
        victims: names of the processes that it hits.
        seconds: how long they are down, stand still or have no room; a clock's jump.
        choice: picks a file and a byte of it, in [0, 1).
    """

    point: int
    delay: float
    kind: Kind
    victims: tuple[str, ...]
    seconds: float
    choice: float

    @property
    def label(self) -> str:
        """What it is called in the table: who in general, and what."""
        return f"{_group(self.victims)}: {self.kind}"

    def __str__(self) -> str:
        return f"{', '.join(self.victims)}: {self.kind} ({self.seconds:.1f} s)"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a schedule is drawn for.

    Attributes:
        operators: their names.
        threshold: t.
        points: steps and batches of a ceremony.
        servers: names of the processes that are no parties.
        count: disturbances of a ceremony, None for a few, as drawn.
    """

    operators: tuple[str, ...]
    threshold: int
    points: int
    servers: tuple[str, ...] = (TEMPORAL,)
    count: int | None = None

    @property
    def everybody(self) -> tuple[str, ...]:
        """Return the names of all processes."""
        return (*self.operators, COORDINATOR, *self.servers)


def draw_schedule(seed: int, scope: Scope) -> tuple[Disturbance, ...]:
    """Return the disturbances of the ceremony with this seed, in the order of their points.

    At most `threshold` vaults are damaged: more than that is beyond what a ceremony promises.

    Args:
        seed: of the ceremony.
        scope: what there is to disturb.
    """
    drawn = random.Random(f"ringforge chaos {seed}")  # noqa: S311 - a schedule, not a secret
    unlucky = drawn.sample(scope.operators, scope.threshold)
    count = drawn.randint(FEWEST, MOST) if scope.count is None else scope.count
    places = sorted(drawn.randrange(scope.points) for _ in range(count))
    return tuple(_draw(drawn, place, scope, unlucky) for place in places)


def _draw(drawn: random.Random, point: int, scope: Scope, unlucky: Sequence[str]) -> Disturbance:
    kind = drawn.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
    operators, everybody = scope.operators, scope.everybody
    longest = LONGEST_OUTAGE
    match kind:
        case Kind.KILL:
            victims = _victims_of_a_kill(drawn, operators, everybody)
        case Kind.STOP:
            victims, longest = (drawn.choice(everybody),), LONGEST_STANDSTILL
        case Kind.LOSE_WORK:
            victims = (drawn.choice(operators),)
        case Kind.FLIP_SHARED:
            victims = (*operators, COORDINATOR)
        case Kind.FLIP_VAULT:
            victims = (drawn.choice(unlucky),)
        case Kind.FLIP_WORK | Kind.FULL_DISK | Kind.CLOCK:
            victims = (drawn.choice((*operators, COORDINATOR)),)
    seconds = drawn.uniform(0.0, longest)
    if kind is Kind.CLOCK:
        seconds = drawn.choice((3600.0, -3600.0))
    delay = drawn.uniform(0.0, LONGEST_DELAY)
    return Disturbance(point, delay, kind, victims, seconds, drawn.random())


def _victims_of_a_kill(
    drawn: random.Random, operators: Sequence[str], everybody: Sequence[str]
) -> tuple[str, ...]:
    """Return one process mostly, sometimes more than t operators, sometimes everything."""
    dice = drawn.random()
    if dice < WHOLE_SITE:
        return tuple(everybody)
    if dice < WHOLE_SITE + SEVERAL:
        return tuple(sorted(drawn.sample(list(operators), drawn.randint(2, len(operators)))))
    return (drawn.choice(everybody),)


def _group(victims: tuple[str, ...]) -> str:
    named = {COORDINATOR, TEMPORAL, DATABASE}
    if len(victims) == 1:
        return victims[0] if victims[0] in named else "an operator"
    return "whole site" if named & set(victims) else "several operators"
