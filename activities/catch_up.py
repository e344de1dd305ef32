"""What an operator does unasked after an absence or a loss: give the log whatever it owes.

Openings are held first, since the log says too little without them. What one batch lacks does not
hold up the others: refusals are noted and raised at the end (PROTOCOL.md, "Recovery and
destruction").
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from activities.steps import Steps
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.owed import Owed

__all__ = ["CatchUp", "is_redone"]

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
        """Post what is owed of batches that are redone; nobody orders them a second time.

        Raises:
            CeremonyError: the first refusal, after everything else was tried.
        """
        tried: set[Owed] = set()
        while owed := [item for item in self._payable() if is_redone(item) and item not in tried]:
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
        if key in self._refused:
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

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except CeremonyError as refusal:
            self._refusals.append(refusal)

    def _raise(self) -> None:
        if self._refusals:
            raise self._refusals[0]


def is_redone(item: Owed) -> bool:
    """Tell whether this is about a batch that was killed and is drawn anew."""
    return item.batch is not None and bool(item.batch.generation or item.batch.attempt)
