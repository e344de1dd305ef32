"""Percent and time left of a running ceremony, from the work of its parts and the clock.

Batches and steps differ much in what they cost, so progress is counted in predicted seconds of
work, as the model predicts them, and not in batches. How fast the work goes is measured over the
run so far: only the proportions of the prediction matter, not its scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.estimate.costs import OVERHEADS
from infra.estimate.log import points_of
from infra.estimate.nominal import NOMINAL
from infra.estimate.work import CeremonyWork
from mpc_core.protocol.batch import BatchState
from mpc_core.protocol.context import STAGES
from mpc_core.protocol.key_setup import SetupPhase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.batch import BatchKey, BatchStatus
    from mpc_core.protocol.quorum import Quorum
    from mpc_core.protocol.state import CeremonyState
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["Agenda", "Done", "Pace", "agenda_of", "done_of"]

LEAST_SHARE = 0.005
"""Of all work, before which nothing is said about the time left."""
SETTLED = (BatchState.PROVISIONAL, BatchState.COMPLETE)


@dataclass(frozen=True, slots=True)
class BatchWork:
    """Predicted seconds of a batch, over all parties: its vectors, its decoding, its answers."""

    share: float
    decode: float
    answer: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.share + self.decode + self.answer

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
    """All work of a ceremony, in predicted seconds.

    Attributes:
        operators: n.
        setup: of the key setup.
        batches: by stage and index.
        seal: of bringing all shares into the vaults.
        rebuild: of rebuilding the key set and agreeing on its digest.
        publish: of what follows the announcement.
    """

    operators: int
    setup: float
    batches: Mapping[BatchKey, BatchWork]
    seal: float
    rebuild: float
    publish: float

    @property
    def total(self) -> float:
        """All of it."""
        steps = self.setup + self.seal + self.rebuild + self.publish
        return steps + sum(batch.total for batch in self.batches.values())


def agenda_of(parameters: Parameters, layout: CeremonyLayout, quorum: Quorum) -> Agenda:
    """Return the work of a ceremony in the proportions of a typical machine."""
    work = CeremonyWork(parameters, layout, quorum, NOMINAL)
    count = quorum.count
    return Agenda(
        operators=count,
        setup=count * NOMINAL.setup + _handling(5 * count + 3, 7, count),
        batches={
            (stage, batch.index): _batch(work, batch)
            for stage in STAGES
            for batch in layout.stage(stage)
        },
        seal=count * work.secure() + _handling(1, 2, count),
        rebuild=(count + 1) * work.rebuild() + _handling(1, 2, count),
        publish=work.publish() + _handling(1, 2, count),
    )


def _batch(work: CeremonyWork, batch: BatchLayout) -> BatchWork:
    quorum, size = work.quorum, batch.opened_bytes
    count = quorum.count
    served = (points_of(batch, quorum) - 1) * size * NOMINAL.send_byte
    opened = count * size * NOMINAL.send_byte
    takes = (count - 1) * work.take(batch) + work.coordinator(batch)
    third = _handling(count, 1, count)
    return BatchWork(
        share=count * work.share(batch) + third,
        decode=work.decode(batch) + served + _handling(1, 1 / count, count),
        answer=count * work.answer(batch) + opened + takes + _handling(2 * count, 1, count),
    )


def _handling(entries: float, orders: float, count: int) -> float:
    """Return what entries and orders for each operator cost all parties together."""
    each = count * OVERHEADS.entry_operator + OVERHEADS.entry_coordinator
    order = OVERHEADS.order_operator + OVERHEADS.order_coordinator + OVERHEADS.order_server
    return entries * each + orders * count * order


@dataclass(frozen=True, slots=True)
class Done:
    """How far the log says a ceremony is, in predicted seconds of work.

    Attributes:
        done: what is done.
        total: all of it.
    """

    done: float
    total: float

    @property
    def share(self) -> float:
        """Of all work, between 0 and 1."""
        return min(self.done / self.total, 1.0)


def done_of(agenda: Agenda, state: CeremonyState) -> Done:
    """Return what the log shows as done; publishing is never seen to end."""
    phases = list(SetupPhase)
    done = agenda.setup * phases.index(state.setup.phase) / (len(phases) - 1)
    for key, batch in agenda.batches.items():
        done += batch.done(state.status(key), agenda.operators)
    first = state.status(("O", 0)).state
    done += agenda.seal if state.sealed is not None and first is not BatchState.WAITING else 0.0
    done += agenda.rebuild if state.release.key_set is not None else 0.0
    return Done(done, agenda.total)


@dataclass(slots=True)
class Pace:
    """Measures how fast the work goes; time is passed in.

    What an earlier start had done does not count as done in the time since this one. Between two
    looks that show progress the work is taken to go on as before, but not beyond the next step.
    """

    _first: tuple[float, float] | None = None
    _last: tuple[float, float] = (0.0, 0.0)
    _widest: float = 0.0
    _total: float = 0.0

    def note(self, done: Done, now: float) -> None:
        """Take note of how far the ceremony is."""
        if self._first is None:
            self._first, self._last = (now, done.done), (now, done.done)
        self._total = done.total
        step = done.done - self._last[1]
        if step > 0:
            self._widest = max(self._widest, step)
            self._last = (now, done.done)

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds to the end, None while too little is done to tell."""
        if self._first is None:
            return None
        began, before = self._first
        at, done = self._last
        if done - before < LEAST_SHARE * self._total or at <= began:
            return None
        speed = (done - before) / (at - began)
        ahead = min((now - at) * speed, self._widest, self._total - done)
        slowed = (done + ahead - before) / (now - began)
        return max(self._total - done - ahead, 0.0) / slowed
