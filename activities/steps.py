"""Everything an operator can be ordered to do, and what it does unasked: catch up.

An order only says when. What a step does follows from the signed plan and from the operator's own
copy of the log, so a repeated, late or senseless order changes nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.acceptance import Acceptance
from activities.batches import Batches
from activities.endorse import Endorser
from activities.seal import Destruction
from activities.setup import KeySteps
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from activities.operator import Operator
    from activities.ports import Meter
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.owed import Owed
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Steps"]

_KEYS = "keys"
_ASSEMBLY = "O"
_SEAL = "seal"


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of one operator, each charged to its stage."""

    operator: Operator
    meter: Meter
    keys: KeySteps
    batches: Batches
    acceptance: Acceptance
    endorser: Endorser
    destruction: Destruction

    @classmethod
    def of(cls, operator: Operator, meter: Meter) -> Steps:
        """Return the steps of an operator."""
        batches = Batches(operator)
        acceptance = Acceptance(operator, batches)
        return cls(
            operator=operator,
            meter=meter,
            keys=KeySteps(operator),
            batches=batches,
            acceptance=acceptance,
            endorser=Endorser(operator, acceptance),
            destruction=Destruction(operator, batches),
        )

    def step(self, name: str) -> None:
        """Run a step outside the batches."""
        stage, act = self._steps()[name]
        with self.meter.stage(stage):
            act()

    def share(self, key: BatchKey) -> None:
        """Compute a share vector and post its root."""
        with self.meter.stage(key[0]):
            self.keys.settle()
            self.batches.share(key)

    def decode(self, key: BatchKey) -> None:
        """Open a batch, if this operator is the decoder of its current round."""
        with self.meter.stage(key[0]):
            self.batches.decode(key)

    def answer(self, key: BatchKey) -> None:
        """Vouch for the opening of a batch and answer its challenges."""
        with self.meter.stage(key[0]):
            self.batches.answer(key)

    def objection(self, entry: Entry) -> str:
        """Return why this operator does not sign a statement, "" if it does."""
        return self.endorser.objection(entry)

    def catch_up(self) -> None:
        """Post whatever this operator owes, then destroy what the log says is over.

        Raises:
            CeremonyError: the first refusal, after everything else was tried.
        """
        refusals: list[CeremonyError] = []
        tried: set[Owed] = set()
        while True:
            self._hold_openings(refusals)
            owed = [item for item in self._owed() if item not in tried]
            if not owed:
                break
            for item in owed:
                tried.add(item)
                with _noted(refusals):
                    self._pay(item)
        for step in self.operator.log.read(_duties):
            with _noted(refusals):
                self.step(step)
        if refusals:
            raise refusals[0]

    def hold_openings(self) -> None:
        """Fetch every opened value that a verdict waits for: without it the log says too little.

        Raises:
            CeremonyError: the first refusal, after everything else was tried.
        """
        refusals: list[CeremonyError] = []
        self._hold_openings(refusals)
        if refusals:
            raise refusals[0]

    def _hold_openings(self, refusals: list[CeremonyError]) -> None:
        tried: set[BatchKey] = set()
        while True:
            awaited = set(self.operator.log.read(lambda state: state.awaiting_v)) - tried
            if not awaited:
                return
            for key in sorted(awaited):
                tried.add(key)
                with _noted(refusals):
                    self.batches.hold(key)

    def _steps(self) -> Mapping[str, tuple[str, Callable[[], None]]]:
        return {
            "announce_kem_key": (_KEYS, self.keys.announce_kem_key),
            "contribute": (_KEYS, self.keys.contribute),
            "examine": (_KEYS, self.keys.examine),
            "acknowledge": (_KEYS, self.keys.acknowledge),
            "secure": (_SEAL, self.destruction.secure),
            "rebuild": (_ASSEMBLY, self.acceptance.rebuild),
            "conclude": (_ASSEMBLY, self.destruction.conclude),
        }

    def _owed(self) -> tuple[Owed, ...]:
        return self.operator.log.read(lambda state: state.owed(self.operator.index))

    def _pay(self, owed: Owed) -> None:
        setup = {
            "kem-key": "announce_kem_key",
            "contribution": "contribute",
            "examined": "examine",
            "acknowledgement": "acknowledge",
        }
        if owed.batch is None:
            self.step(setup[owed.kind])
            return
        key = (owed.batch.stage, owed.batch.batch)
        if owed.kind == "root":
            self.share(key)
        elif owed.kind == "decoded":
            self.decode(key)
        else:
            self.answer(key)


def _duties(state: CeremonyState) -> tuple[str, ...]:
    """Return what an operator does to its own secrets after the seal and the announcement."""
    if state.release.announcement is not None:
        return ("conclude",)
    return () if state.sealed is None else ("secure",)


@contextmanager
def _noted(refusals: list[CeremonyError]) -> Iterator[None]:
    """Note a refusal and go on: what one batch lacks must not hold up the others."""
    try:
        yield
    except CeremonyError as refusal:
        refusals.append(refusal)
