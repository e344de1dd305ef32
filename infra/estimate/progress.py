"""Percent and time left of a running ceremony, from the work of its parts and the clock.

Batches and steps differ much in what they cost, so progress is counted in seconds that the model
predicts, and not in batches. How fast the work goes is measured over the
run so far: only the proportions of the prediction matter, not its scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.estimate.costs import OVERHEADS
from infra.estimate.log import points_of
from infra.estimate.model import (
    ACCEPTANCE,
    ASSEMBLY,
    PREPROCESSING,
    PUBLICATION,
    SEAL,
    estimate,
)
from infra.estimate.nominal import NOMINAL
from infra.estimate.work import CeremonyWork
from mpc_core.protocol.batch import BatchState
from mpc_core.protocol.quorum import Quorum
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.estimate.costs import Machine
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.batch import BatchKey, BatchStatus
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Agenda", "Done", "Pace", "agenda_of", "done_of"]

LEAST_SHARE = 0.005
"""Of all work, before which nothing is said about the time left."""
SETTLED = (BatchState.PROVISIONAL, BatchState.COMPLETE)


@dataclass(frozen=True, slots=True)
class BatchWork:
    """Predicted seconds of a batch: of its vectors, its decoding, its answers."""

    share: float
    decode: float
    answer: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.share + self.decode + self.answer

    def times(self, factor: float) -> BatchWork:
        """Return so many times this work."""
        return BatchWork(self.share * factor, self.decode * factor, self.answer * factor)

    def done(self, status: BatchStatus, operators: int) -> float:
        """Return how much of it the log shows as done."""
        if status.state in SETTLED:
            return self.total
        if status.state is BatchState.WAITING:
            return 0.0
        if not status.decoded:
            return self.share * (1 - len(status.missing_roots) / operators)
        answered = 1 - len(status.missing_answers) / operators
        return self.share + self.decode + self.answer * answered


@dataclass(frozen=True, slots=True)
class Agenda:
    """All work of a ceremony after the key setup, in predicted seconds.

    The setup is short and mostly waiting for operators to start: its pace says nothing.

    Attributes:
        operators: n.
        batches: by stage and index.
        seal: of bringing all shares into the vaults.
        rebuild: of rebuilding the key set and agreeing on its digest.
        publish: of what follows the announcement.
    """

    operators: int
    batches: Mapping[BatchKey, BatchWork]
    seal: float
    rebuild: float
    publish: float

    @property
    def total(self) -> float:
        """All of it."""
        steps = self.seal + self.rebuild + self.publish
        return steps + sum(batch.total for batch in self.batches.values())


def agenda_of(plan: Plan, layout: CeremonyLayout, machine: Machine) -> Agenda:
    """Return the work of a ceremony in the proportions of a typical machine.

    A phase as a whole weighs as many seconds as it is predicted to take where it runs; its batches
    and steps share these in proportion to their work.
    """
    work = CeremonyWork(lookup(plan.parameters), layout, Quorum.of(plan), NOMINAL)
    phases = estimate(plan, layout, NOMINAL, OVERHEADS, machine).phases
    seconds = {phase.name: phase.seconds for phase in phases}
    made = [batch for batch in layout.assembly if batch.purpose in {"seed", "bodies"}]
    checks = [batch for batch in layout.assembly if batch.purpose not in {"seed", "bodies"}]
    offline = (*layout.noise, *layout.secrets, *layout.products)
    rebuild = (plan.count + 1) * work.rebuild()
    accepted, rest = _weighed(work, checks, seconds[ACCEPTANCE], rebuild)
    preprocessed, _ = _weighed(work, offline, seconds[PREPROCESSING])
    assembled, _ = _weighed(work, made, seconds[ASSEMBLY])
    return Agenda(
        operators=plan.count,
        batches=preprocessed | assembled | accepted,
        seal=seconds[SEAL],
        rebuild=rest,
        publish=seconds[PUBLICATION],
    )


def _weighed(
    work: CeremonyWork, batches: Sequence[BatchLayout], seconds: float, beside: float = 0.0
) -> tuple[dict[BatchKey, BatchWork], float]:
    """Return a phase's batches, and what it does beside them, so that all weigh as it takes."""
    each = {(batch.stage, batch.index): _batch(work, batch) for batch in batches}
    scale = seconds / (beside + sum(batch.total for batch in each.values()))
    return {key: batch.times(scale) for key, batch in each.items()}, beside * scale


def _batch(work: CeremonyWork, batch: BatchLayout) -> BatchWork:
    quorum, size = work.quorum, batch.opened_bytes
    count = quorum.count
    served = (points_of(batch, quorum) - 1) * size * NOMINAL.send_byte
    opened = count * size * NOMINAL.send_byte
    takes = (count - 1) * work.take(batch) + work.verdict(batch) + size * NOMINAL.hash_byte
    third = _handling(count, 1, count)
    return BatchWork(
        share=count * work.share(batch) + third,
        decode=work.decode(batch) + served + _handling(1, 1 / count, count),
        answer=count * work.answer(batch) + opened + takes + _handling(2 * count, 1, count),
    )


def _handling(entries: float, orders: float, count: int) -> float:
    """Return what entries and orders for each operator cost all parties together."""
    each = count * OVERHEADS.entry_operator + OVERHEADS.entry_coordinator
    return entries * each + orders * count * OVERHEADS.order_server


@dataclass(frozen=True, slots=True)
class Done:
    """How far the log says a ceremony is, in predicted seconds of work.

    Attributes:
        done: what is done.
        begun: what is begun and not seen as done: somebody may be working on it.
        total: all of it.
    """

    done: float
    begun: float
    total: float

    @property
    def percent(self) -> int:
        """Of all work; never 100, since publishing is not seen to end."""
        return min(int(100 * self.done / self.total), 99)


def done_of(agenda: Agenda, state: CeremonyState) -> Done:
    """Return what the log shows as done and as begun; publishing is never seen to end."""
    done = begun = 0.0
    for key, batch in agenda.batches.items():
        status = state.status(key)
        part = batch.done(status, agenda.operators)
        done += part
        begun += 0.0 if status.state is BatchState.WAITING else batch.total - part
    seed = state.status(("O", 0)).state
    for work, starts, ends in (
        (agenda.seal, state.sealed is not None, seed is not BatchState.WAITING),
        (agenda.rebuild, _bodies_are_open(state), state.release.key_set is not None),
        (agenda.publish, state.release.announcement is not None, False),
    ):
        done += work if starts and ends else 0.0
        begun += work if starts and not ends else 0.0
    return Done(done, begun, agenda.total)


def _bodies_are_open(state: CeremonyState) -> bool:
    """Tell whether the last batch of the layout has its context: it rests on all bodies."""
    last = max(index for stage, index in state.batches if stage == "O")
    return state.status(("O", last)).state is not BatchState.WAITING


@dataclass(slots=True)
class Pace:
    """Measures how fast the work goes; time is passed in.

    What an earlier start had done does not count as done in the time since this one. Between two
    looks that show progress, what is begun is taken to go on as fast as before.
    """

    _first: tuple[float, float] | None = None
    _last: tuple[float, float] = (0.0, 0.0)
    _begun: float = 0.0
    _total: float = 0.0

    def note(self, done: Done, now: float) -> None:
        """Take note of how far the ceremony is."""
        if self._first is None or done.done <= self._first[1]:
            self._first = self._last = (now, done.done)  # the clock runs once work is done
        if done.done > self._last[1]:
            self._last = (now, done.done)
        self._begun, self._total = done.begun, done.total

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds to the end, None while too little is done to tell."""
        if self._first is None:
            return None
        began, before = self._first
        at, done = self._last
        if done - before < LEAST_SHARE * self._total or at <= began:
            return None
        speed = (done - before) / (at - began)
        ahead = min((now - at) * speed, self._begun)
        since_then = (done + ahead - before) / (now - began)
        return (self._total - done - ahead) / since_then
