"""What others asked this operator for in vain: it has it again, if it can.

A share vector is dropped once nobody needs it any more, and a file may be damaged. An opened value
that nobody holds is opened anew from the vectors that its decoder named on the log; whoever dropped
its own makes it again when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from activities import looks
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from activities.batches import Batches
    from activities.operator import Operator
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Wanted"]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator brings back because others want it.

    Security: only vectors whose roots this operator has posted are made, and only while their batch
        is not sealed: they are the same bytes that it served before. A member that asks again and
        again makes it work once for each batch.
    """

    operator: Operator
    batches: Batches

    def is_there(self) -> bool:
        """Tell whether somebody asked for something that was not here."""
        return bool(self.operator.blobs.wanted())

    def bring_back(self) -> None:
        """Have again what was asked for, as far as it can be had; who needs it asks again."""
        for root in self.operator.blobs.wanted():
            self.operator.blobs.forget_wanted(root)
            place = self.operator.log.read(partial(self._place, root))
            if place is None:
                continue
            key, is_own_vector = place
            try:
                if is_own_vector:
                    self.batches.serve_on_demand(key)
                else:
                    self.batches.opening(key)
            except CeremonyError as refusal:
                _log.info("what was asked for cannot be had", root=root.hex(), reason=str(refusal))

    def _place(self, root: bytes, state: CeremonyState) -> tuple[BatchKey, bool] | None:
        """Return the live batch whose own vector or opened value has this root, and which it is."""
        for opening in state.openings:
            if opening.roots.get(self.operator.index) == root:
                return opening.rule.key, True
            if looks.value_root(opening) == root:
                return opening.rule.key, False
        return None
