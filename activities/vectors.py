"""The share vectors of others: whom a decoder asks, and what it says of who does not serve.

PROTOCOL.md, "Opening a batch", step 6: of whom t+1 operators say that it does not serve its vector,
nobody opens from, until t+1 say that it does or fewer say that it does not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from activities import looks
from activities.serving import decoding_load
from activities.values import get_vector
from mpc_core.protocol.entries import Served, Unserved
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from activities.operator import Operator
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.context import BatchContext
    from mpc_core.protocol.state import CeremonyState
    from mpc_core.sharing.opening import Buffer

__all__ = ["Vectors"]

_AT_THE_PEER = "RF-PEER-"
"""Codes of errors that whoever was asked is the cause of, or the way there."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """One operator's way to the vectors of the others."""

    operator: Operator
    _decoding: Counter[int] = field(default_factory=Counter)

    def get(self, key: BatchKey, context: BatchContext, index: int, root: bytes) -> Buffer:
        """Return the vector of an operator; say whether it is served where that is news.

        Raises:
            CeremonyError: when it cannot be had.
        """
        try:
            vector = get_vector(self.operator, key, index, root)
        except CeremonyError as refusal:
            if refusal.code.startswith(_AT_THE_PEER):
                self._say(key, context, index, serves=False)
            raise
        self._say(key, context, index, serves=True)
        return vector

    def try_again(self, key: BatchKey, context: BatchContext) -> list[CeremonyError]:
        """Ask those again that are barred from the batch; return why they cannot be used."""
        refusals = []
        for index, root in self.operator.log.read(lambda s: looks.barred_roots(s, key)).items():
            try:
                self.get(key, context, index, root)
            except CeremonyError as refusal:
                refusals.append(refusal)
        return refusals

    def sources(self, roots: dict[int, bytes]) -> list[int]:
        """Return the operators with a root: this one, then whoever has the least to serve."""
        count, own = self.operator.plan.count, self.operator.index
        load = self.operator.log.read(self._load)
        return sorted(roots, key=lambda index: (index != own, load[index], (index - own) % count))

    def _load(self, state: CeremonyState) -> Counter[int]:
        """Return the bytes that each operator has to serve: as decoder, and of vectors so far."""
        if not self._decoding:
            self._decoding.update(decoding_load(self.operator.layout, self.operator.plan.count))
        load = self._decoding.copy()
        for opening in state.openings:
            size = self.operator.batch(opening.rule.key).opened_bytes
            for turn in opening.rounds:
                points = () if turn.decoded is None else turn.decoded.points
                for index in {index for index, _ in points} - {turn.decoder}:
                    load[index] += size
        return load

    def _say(self, key: BatchKey, context: BatchContext, index: int, *, serves: bool) -> None:
        """Say whether an operator serves, if it is not said yet and would count."""
        own = self.operator.index
        if self.operator.log.read(
            lambda state: looks.may_say(state, key, own, index, serves=serves)
        ):
            identifier = context.identifier(self.operator.plan.hash)
            serial = self.operator.log.read(lambda state: looks.words_about(state, key, own, index))
            kind = Served if serves else Unserved
            self.operator.log.post(kind(context.name, identifier, index, serial))
