"""What is done to a ceremony in memory: drawn from a seed before anything runs.

A schedule keeps what the protocol assumes: at most t operators lie, stay away, or lose their vault,
so that the others bring the ceremony to its end; and honest operators that may be written off,
together with liars, are at most t (PROTOCOL.md, "Writing off"). Whoever else is away comes back
before the waiting time of the plan is over, and too few clocks are moved to run it out.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["SIZES", "Disturbance", "Kind", "Noise", "Schedule", "draw_schedule", "largest_t"]

SIZES = (4,) * 50 + (7,) * 6 + (10, 10, 13)
"""Numbers of operators and how often each is drawn: large ceremonies take seconds."""

LONGEST_ABSENCE = 12
LAST_BEGIN = 90
LONGEST_DISORDER = 60
LONGEST_FUSE = 40
HOUR = 3600.0


class Kind(StrEnum):
    """What is done; the text is the row of the table."""

    KILL = "killed at one of its next writes or messages"
    POWER = "power lost: what was not written durably is gone"
    LOSE_WORK = "killed, work/ lost"
    LOSE_VAULT = "killed, vault/ and work/ lost"
    CUT = "cut off from everybody for a while"
    LAG = "sees the log late for a while"
    CLOCK = "clock moved by up to an hour"
    HOST = "host of the board away for a while"
    DISORDER = "coordinator gives orders as it likes for a while"
    GONE = "gone for good"
    LIAR = "lies"


ABSENCES = (Kind.KILL, Kind.POWER, Kind.LOSE_WORK, Kind.CUT)
ANYBODY = 0
_TOGETHER = 0.3
"""How often all liars tell the same lie, which those that collude need."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One disturbance.

    Attributes:
        kind: what is done.
        operator: to whom; 0 where it is nobody in particular.
        at: round in which it begins.
        rounds: how long it lasts.
        amount: writes and messages until a kill; seconds by which a clock is moved.
    """

    kind: Kind
    operator: int
    at: int
    rounds: int = 0
    amount: float = 0.0

    def __str__(self) -> str:
        """Return a line for people."""
        whom = f"operator {self.operator}" if self.operator else "everybody"
        return f"round {self.at}: {whom} {self.kind} ({self.rounds} rounds, {self.amount:g})"


@dataclass(frozen=True, slots=True)
class Noise:
    """How often something happens to a message, while there are disturbances.

    Attributes:
        loss: it never arrives, and who sends it knows.
        late: it arrives later, and who sends it believes that it is lost.
        twice: it arrives twice.
        unheard: it arrives, and who sends it believes that it is lost.
        lag: a party does not hear of new log entries in a round.
    """

    loss: float = 0.0
    late: float = 0.0
    twice: float = 0.0
    unheard: float = 0.0
    lag: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """A ceremony and everything that is done to it.

    Attributes:
        seed: of the order in which operators run and of the messages that are hit.
        n: number of operators; t is the largest possible.
        noise: what happens to messages.
        disturbances: what happens to parties, by the round in which it begins.
        liars: who lies and how, by the name in the registry of adversaries.
    """

    seed: int
    n: int
    noise: Noise = Noise()
    disturbances: tuple[Disturbance, ...] = ()
    liars: tuple[tuple[int, str], ...] = ()

    @property
    def t(self) -> int:
        """How many may lie or be gone."""
        return largest_t(self.n)

    def counts(self) -> Counter[str]:
        """Return how often each kind of disturbance is in it."""
        counts = Counter(str(each.kind) for each in self.disturbances)
        counts.update(f"{Kind.LIAR}: {name}" for _, name in self.liars)
        counts.update(f"messages: {name}" for name in Noise.__slots__ if getattr(self.noise, name))
        return counts

    def simpler(self) -> Iterator[Schedule]:
        """Yield schedules with a part of this one left out, the largest parts first."""
        if self.noise != Noise():
            yield replace(self, noise=Noise())
        for liar in self.liars:
            yield replace(self, liars=tuple(each for each in self.liars if each != liar))
        count = len(self.disturbances)
        size = count
        while size:
            for start in range(0, count, size):
                kept = self.disturbances[:start] + self.disturbances[start + size :]
                yield replace(self, disturbances=kept)
            size //= 2

    def __str__(self) -> str:
        """Return the schedule line by line."""
        lines = [
            f"seed {self.seed}, {self.n} operators, {self.t} of them may fail",
            f"{self.noise}",
        ]
        lines += [f"operator {index} lies: {name}" for index, name in self.liars]
        return "\n".join([*lines, *map(str, self.disturbances)])


def largest_t(n: int) -> int:
    """Return how many of n operators may crash or lie."""
    return (n - 1) // 3


def draw_schedule(seed: int, n: int | None = None, lies: Sequence[str] = ()) -> Schedule:
    """Draw a schedule.

    Args:
        seed: the same seed draws the same schedule.
        n: number of operators; drawn too by default.
        lies: names of the adversaries to draw from.
    """
    draw = random.Random(f"schedule {seed}")  # noqa: S311 - no secret
    drawn = draw.choice(SIZES)  # in any case: a seed with the size that it draws is that schedule
    n = n or drawn
    t = largest_t(n)
    failing = draw.sample(range(1, n + 1), t)
    lying = draw.randint(0, t) if lies else 0
    told = (draw.choice(lies),) if lying and draw.random() < _TOGETHER else lies
    liars = tuple((index, draw.choice(told)) for index in sorted(failing[:lying]))
    honest = [index for index in range(1, n + 1) if index not in dict(liars)]
    lost = tuple(_lost(draw, failing[lying:]))
    bereft = {each.operator for each in lost}
    disturbances = [
        *lost,
        *_absences(draw, [index for index in honest if index not in bereft]),
        *_gone(draw, [index for index in failing[lying:] if index not in bereft]),
        *_clocks(draw, honest, n - t - lying - 1),
        *_lags(draw, n),
    ]
    disturbances.sort(key=lambda each: (each.at, each.operator))
    return Schedule(seed, n, _noise(draw), tuple(disturbances), liars)


def _noise(draw: random.Random) -> Noise:
    if draw.random() < 0.3:  # noqa: PLR2004
        return Noise()
    loss, late, twice, unheard, lag = (draw.choice((0.0, 0.05, 0.3)) for _ in range(5))
    return Noise(loss, late, twice, unheard, lag)


def _absences(draw: random.Random, honest: list[int]) -> Iterator[Disturbance]:
    """Yield at most one absence of each honest operator: two may add up to a waiting time."""
    for index in draw.sample(honest, draw.randint(0, len(honest))):
        kind = draw.choice(ABSENCES)
        at, rounds = draw.randint(0, LAST_BEGIN), draw.randint(1, LONGEST_ABSENCE)
        yield Disturbance(kind, index, at, rounds, draw.randint(0, LONGEST_FUSE))


def _lost(draw: random.Random, failing: list[int]) -> Iterator[Disturbance]:
    for index in failing:
        if draw.random() < 0.3:  # noqa: PLR2004
            at, rounds = draw.randint(0, LAST_BEGIN), draw.randint(1, LONGEST_ABSENCE)
            yield Disturbance(Kind.LOSE_VAULT, index, at, rounds, draw.randint(0, LONGEST_FUSE))


def _gone(draw: random.Random, failing: list[int]) -> Iterator[Disturbance]:
    for index in failing:
        if draw.random() < 0.4:  # noqa: PLR2004
            yield Disturbance(Kind.GONE, index, draw.randint(0, LAST_BEGIN))


def _clocks(draw: random.Random, honest: list[int], most: int) -> Iterator[Disturbance]:
    for index in draw.sample(honest, draw.randint(0, min(most, len(honest)))):
        seconds = draw.choice((30.0, HOUR))
        yield Disturbance(Kind.CLOCK, index, draw.randint(0, LAST_BEGIN), amount=seconds)


def _lags(draw: random.Random, n: int) -> Iterator[Disturbance]:
    for _ in range(draw.randint(0, 3)):
        at, rounds = draw.randint(0, LAST_BEGIN), draw.randint(1, LONGEST_ABSENCE)
        yield Disturbance(Kind.LAG, draw.randint(1, n), at, rounds)
    if draw.random() < 0.3:  # noqa: PLR2004
        at, rounds = draw.randint(0, LAST_BEGIN), draw.randint(1, LONGEST_ABSENCE)
        yield Disturbance(Kind.HOST, ANYBODY, at, rounds)
    if draw.random() < 0.3:  # noqa: PLR2004
        at = draw.randint(0, LAST_BEGIN)
        yield Disturbance(Kind.DISORDER, ANYBODY, at, draw.randint(1, LONGEST_DISORDER))
