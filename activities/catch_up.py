"""What an operator does unasked after an absence or a loss: give the log whatever it owes.

Openings are held first, since the log says too little without them. What one batch lacks does not
hold up the others: refusals are noted and raised at the end (PROTOCOL.md, "Recovery and
destruction").
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpc_core.protocol.batch import Verdict
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from activities.steps import Steps
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.opening import Opening
    from mpc_core.protocol.owed import Owed
    from mpc_core.protocol.state import CeremonyState

__all__ = ["CatchUp", "owed_unordered"]

_SETUP_STEPS = {
    "kem-key": "announce_kem_key",
    "contribution": "contribute",
    "examined": "examine",
    "acknowledgement": "acknowledge",
}


@dataclass(frozen=True, slots=True)
class CatchUp:
    """One attempt of an operator to owe nothing."""

    steps: Steps
    _refusals: list[CeremonyError] = field(default_factory=list)
    _refused: set[BatchKey] = field(default_factory=set)

    def run(self) -> None:
        """Post whatever is owed and can be given now, then do what else is due.

        Raises:
            CeremonyError: the first refusal, after everything else was tried.
        """
        tried: set[Owed] = set()
        while True:
            self._hold_openings()
            owed = [item for item in self._payable() if item not in tried]
            if not owed:
                break
            for item in owed:
                tried.add(item)
                self._pay(item)
        for duty in self.steps.duties():
            with self._noting():
                self.steps.step(duty)
        self._raise()

    def redo(self) -> None:
        """Post what is owed of batches that nobody orders a second time.

        Raises:
            CeremonyError: the first refusal, after everything else was tried.
        """
        tried: set[Owed] = set()
        while owed := [item for item in self._unordered() if item not in tried]:
            for item in owed:
                tried.add(item)
                self._pay(item)
            self._hold_openings()
        self._raise()

    def hold_openings(self) -> None:
        """Fetch every opened value that a verdict waits for.

        Raises:
            CeremonyError: the first refusal, after everything else was tried.
        """
        self._hold_openings()
        self._raise()

    def _hold_openings(self) -> None:
        tried: set[BatchKey] = set()
        while True:
            awaited = set(self.steps.operator.log.read(lambda state: state.awaiting_v)) - tried
            if not awaited:
                return
            for key in sorted(awaited):
                tried.add(key)
                with self._noting():
                    self.steps.batches.hold(key)

    def _payable(self) -> list[Owed]:
        """Return what is owed and needs nothing that the log does not have yet."""
        operator = self.steps.operator
        owed, named = operator.log.read(
            lambda state: (state.owed(operator.index), state.release.key_set is not None)
        )
        return [item for item in owed if named or not self._is_audit(item)]

    def _unordered(self) -> list[Owed]:
        operator = self.steps.operator
        unordered = operator.log.read(lambda state: owed_unordered(state, operator.index))
        return [item for item in self._payable() if item in unordered]

    def _is_audit(self, item: Owed) -> bool:
        """Tell whether this is about a zero audit: its challenge comes with the key set's entry."""
        if item.batch is None:
            return False
        return self.steps.operator.batch((item.batch.stage, item.batch.batch)).purpose == "audit"

    def _pay(self, item: Owed) -> None:
        if item.batch is None:
            with self._noting():
                self.steps.step(_SETUP_STEPS[item.kind])
            return
        key = (item.batch.stage, item.batch.batch)
        if key in self._refused or not self._is_current(key, item):
            return
        before = len(self._refusals)
        with self._noting():
            if item.kind == "root":
                self.steps.share(key)
            elif item.kind == "decoded":
                self.steps.decode(key, item.round)
            else:
                self.steps.answer(key, item.round)
        if len(self._refusals) > before:
            self._refused.add(key)

    def _is_current(self, key: BatchKey, item: Owed) -> bool:
        """Tell whether a batch still has the context under which something was owed.

        What it was begun from may be open again, and whoever waits here for that cannot open it.
        """
        opening = self.steps.operator.log.read(lambda state: state.opening(key))
        return opening is not None and opening.context.hex() == item.context

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except CeremonyError as refusal:
            self._refusals.append(refusal)

    def _raise(self) -> None:
        if self._refusals:
            raise self._refusals[0]


def owed_unordered(state: CeremonyState, operator: int) -> tuple[Owed, ...]:
    """Return what an operator owes that nobody orders, or not any more.

    Those are batches that were killed and are drawn anew; batches that were settled once, and are
    no more as an operator was excluded that had answered; batches whose opened value was refuted;
    batches that were begun from such a value and have another context now, or the same one again;
    and answers in another round than the one that holds.
    """
    begun = Counter(opening.name for opening in state.ever_opened)
    openings = {opening.context.hex(): opening for opening in state.openings}
    return tuple(
        item
        for item in state.owed(operator)
        if item.batch is not None
        and (
            item.batch.generation
            or item.batch.attempt
            or begun[item.batch] > 1
            or openings[item.context].was_settled
            or openings[item.context].returned
            or _was_refuted(openings[item.context])
            or _is_in_another_round(item, openings[item.context])
        )
    )


def _was_refuted(opening: Opening) -> bool:
    return any(turn.verdict is Verdict.ODD_V for turn in opening.rounds)


def _is_in_another_round(item: Owed, opening: Opening) -> bool:
    return item.kind == "answer" and opening.held not in (None, item.round)
