"""Where a ceremony stands: a fold over the events of its processes, without clock or terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.sandbox.events import Progressed, StageChanged, Troubled

if TYPE_CHECKING:
    from mpc_core.protocol.plan import Plan

__all__ = ["Status", "View", "health_word"]

STAGE_TITLES = {
    "keys": "key setup",
    "N": "noise",
    "S": "key bits",
    "M": "products",
    "seal": "seal",
    "O": "assembly",
    "decryption": "decryption",
}


@dataclass(frozen=True, slots=True)
class View:
    """What a person sees at one moment.

    Attributes:
        title: the stage, in words.
        unit: what the stage is counted in.
        done: batches of the stage that are complete.
        batches: batches of the stage, 0 for a stage without batches.
        waiting_for: operators that the stage waits for.
        waiting_since: since when, as ISO time.
        note: what else there is to say.
        troubles: whose steps fail again and again, with which code and since when.
        health: Optimal, Healthy, Degraded or Unhealthy.
        up: operators whose process runs.
        operators: all operators.
        starting: names of those whose process is not ready yet.
        down: names of those whose process ended and is missed.
        rate: batches per second, 0 when unknown.
        bit_rate: random bits per second, 0 when unknown.
        percent: of the work of the whole ceremony, or None.
        seconds_left: to the end of the ceremony, or None.
    """

    title: str
    unit: str
    done: int
    batches: int
    waiting_for: tuple[str, ...]
    waiting_since: str
    note: str
    health: str
    up: int
    operators: int
    starting: tuple[str, ...]
    down: tuple[str, ...]
    troubles: tuple[Troubled, ...] = ()
    rate: float = 0.0
    bit_rate: float = 0.0
    percent: int | None = None
    seconds_left: float | None = None

    @property
    def change(self) -> tuple[object, ...]:
        """What makes a view worth a new line: everything but rates and times."""
        return (
            self.title,
            self.done,
            self.batches,
            self.waiting_for,
            self.note,
            tuple((trouble.party, trouble.code) for trouble in self.troubles),
            self.up,
            self.down,
        )


def health_word(up: int, operators: int, threshold: int) -> str:
    """Return the one word for how many operators work."""
    if up >= operators:
        return "Optimal"
    if up >= operators - threshold:
        return "Healthy"
    return "Degraded" if up > threshold else "Unhealthy"


@dataclass(frozen=True, slots=True)
class _Start:
    """When a stage was first seen, and how far it was then."""

    time: float
    batches: int
    bits: int


def _nothing_yet() -> Progressed:
    return Progressed(event="progress", stage="")


@dataclass(slots=True)
class Status:
    """Folds events into views; time is passed in.

    Attributes:
        plan: who takes part.
        up: names of the operators that said they are ready and have not ended.
        down: names of the operators that ended and are missed.
    """

    plan: Plan
    up: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    _progress: Progressed = field(default_factory=_nothing_yet)
    _starts: dict[str, _Start] = field(default_factory=dict)
    _percent: int | None = None
    _end: float | None = None

    def came(self, name: str) -> None:
        """Take note of an operator that is ready."""
        self.up.add(name)
        self.down.discard(name)

    def went(self, name: str) -> None:
        """Take note of an operator that ended though it is needed."""
        self.up.discard(name)
        self.down.add(name)

    def restarts(self, name: str) -> None:
        """Take note of an operator that is being started again."""
        self.up.discard(name)
        self.down.discard(name)

    def stage_changed(self, event: StageChanged) -> None:
        """Take note of the start of a stage."""
        if event.state == "started":
            self._progress = Progressed(event="progress", stage=event.stage)

    def progressed(self, event: Progressed, now: float) -> None:
        """Take note of how far a stage is; its rate counts what is new since the first time."""
        self._starts.setdefault(event.stage, _Start(now, event.batches_done, event.bits_done))
        self._progress = event
        if event.percent is not None:
            self._percent = event.percent
            self._end = None if event.seconds_left is None else now + event.seconds_left

    def view(self, now: float) -> View:
        """Return what a person sees now."""
        event = self._progress
        start = self._starts.get(event.stage, _Start(now, 0, 0))
        names = [operator.name for operator in self.plan.operators]
        down = tuple(name for name in names if name in self.down)
        starting = tuple(name for name in names if name not in self.up | self.down)
        rate = _rate(event.batches_done - start.batches, now - start.time)
        return View(
            title=STAGE_TITLES.get(event.stage, event.stage) or "start",
            unit="steps" if event.stage in {"keys", "seal"} else "batches",
            done=event.batches_done,
            batches=event.batches,
            waiting_for=event.waiting_for,
            waiting_since=event.waiting_since,
            note=event.note,
            health=health_word(len(names) - len(down), len(names), self.plan.threshold),
            up=len(names) - len(down) - len(starting),
            operators=len(names),
            starting=starting,
            down=down,
            troubles=event.troubles,
            rate=rate,
            bit_rate=_rate(event.bits_done - start.bits, now - start.time),
            percent=self._percent,
            seconds_left=None if self._end is None else max(self._end - now, 0.0),
        )


def _rate(advanced: int, seconds: float) -> float:
    return advanced / seconds if advanced > 0 and seconds > 0 else 0.0
