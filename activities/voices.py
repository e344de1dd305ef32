"""What this operator's people want decided: signed by them, posted by its process.

`ringforge decide` leaves the signed entry in the operator's work folder, or in its bucket, where
the process, running or started later, finds it. Whoever holds a signed entry may post it, so
nothing is secret here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpc_core.protocol.entries import Decision
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from activities.operator import Operator

__all__ = ["VOICES", "Voices"]

VOICES = "voices"
"""Where signed decisions wait in an operator's work folder."""


@dataclass(frozen=True, slots=True)
class Voices:
    """The decisions that wait to be posted."""

    operator: Operator

    def are_there(self) -> bool:
        """Tell whether a voice waits that would count now."""
        return bool(self.waiting())

    def waiting(self) -> tuple[bytes, ...]:
        """Return the signed decisions that would count; what cannot any more is forgotten."""
        waiting = []
        for name in self.operator.work.names(VOICES):
            envelope = self.operator.work.read(name)
            if envelope is not None and self._counts(envelope):
                waiting.append(envelope)
            else:
                self.operator.work.discard(name)
        return tuple(waiting)

    def _counts(self, envelope: bytes) -> bool:
        try:
            entry, signers = self.operator.log.opened(envelope)
        except CeremonyError:
            return False
        index = self.operator.index
        return (
            isinstance(entry, Decision)
            and signers == (index,)
            and not self.operator.log.read(lambda state: state.decisions.objection(index, entry))
        )
