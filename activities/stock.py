"""An operator's own shares, looked after before the seal.

PROTOCOL.md, "Recovery and destruction": lost shares can be computed again only while the opened
value is there, and the keys. If nobody has the value any more it follows from the keys of 2t+1
operators; and after the seal each destroys its own as soon as its shares are safe. So nobody signs
the seal before it has found its shares of every batch in its stores, and whoever lost some makes
them again at once, not when they are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities import looks
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from activities.batches import Batches
    from activities.operator import Operator
    from mpc_core.protocol.batch import BatchKey

__all__ = ["Stock"]


@dataclass(frozen=True, slots=True)
class Stock:
    """One operator's shares of N, S and M."""

    operator: Operator
    batches: Batches

    def lacks(self) -> tuple[BatchKey, ...]:
        """Return the answered batches whose shares this process has neither made nor read."""
        index, seen = self.operator.index, self.batches.stored
        return self.operator.log.read(lambda state: looks.unstored(state, index, seen))

    def replenish(self) -> None:
        """Read the shares of one batch, or make them again; others may be more urgent meanwhile.

        Raises:
            CeremonyError: the last refusal, when there is none that can be had now.
        """
        refusal: CeremonyError | None = None
        for key in self.lacks():
            try:
                self.batches.shares(key)
            except CeremonyError as error:
                refusal = error
            else:
                return
        if refusal is not None:
            raise refusal

    def objection(self) -> str:
        """Return why this operator does not sign the seal, "" if it does."""
        lacks = len(self.lacks())
        return f"the shares of {lacks} batches are not in its stores" if lacks else ""
