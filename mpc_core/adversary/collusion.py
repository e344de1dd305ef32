"""Liars that know one another: their answers fit what the others have answered so far.

Any 2t+1 answers lie on some polynomial of degree 2t. Who waits for the first honest ones can choose
its own so that all of them together have any value at 0 (PROTOCOL.md, "Opening a batch", steps 4 to
7): only the answers that come later show that they lied.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mpc_core.adversary.twin import Twin, flipped
from mpc_core.protocol.context import OFFLINE
from mpc_core.protocol.entries import Answer
from mpc_core.ring.exact import ExactRing
from mpc_core.sharing.answers import encode_answer, parse_answer

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.opening import Opening, Round
    from mpc_core.protocol.state import CeremonyState

__all__ = ["FitsAWrongPolynomial", "FitsAWrongValue"]


class FitsAWrongPolynomial(Twin):
    """With its fellows it answers so that the early answers lie on a wrong polynomial."""

    eagerness = 1.0

    def __init__(self, index: int, luck: random.Random) -> None:
        """Remember what it keeps back until others have answered."""
        super().__init__(index, luck)
        self.kept: dict[tuple[bytes, int], Answer] = {}

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Keep answers of the preprocessing back."""
        del state
        if not isinstance(entry, Answer) or entry.batch.stage not in OFFLINE:
            return (entry,)
        self.kept[entry.context, entry.round] = entry
        return ()

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Answer what enough others have answered."""
        for place, entry in tuple(self.kept.items()):
            values = self._values(entry, state)
            if values is not None:
                del self.kept[place]
                yield replace(entry, values=values)

    def _values(self, entry: Answer, state: CeremonyState) -> bytes | None:
        """Return what fits, None while too few others have answered or the batch is gone."""
        opening = state.opening((entry.batch.stage, entry.batch.batch))
        if opening is None or opening.context != entry.context:
            return None
        turn = opening.rounds[entry.round]
        wanted = state.quorum.two_t_plus_one - len(self.fellows)
        early = [operator for operator in turn.answers if operator not in self.fellows][:wanted]
        if len(early) < wanted:
            return None
        return self._fitting(entry, opening, turn, early)

    def _fitting(
        self, entry: Answer, opening: Opening, turn: Round, early: list[int]
    ) -> bytes | None:
        """Return the own point of the polynomial through a value at 0 and the early answers."""
        value = self.value_at_zero(entry, opening, turn)
        if value is None:
            return None
        ring = ExactRing(opening.rule.word_bits, opening.rule.ring_degree)
        known = {0: value} | {operator: turn.answers[operator] for operator in early}
        columns = zip(*(parse_answer(each, ring) for each in known.values()), strict=True)
        factors = ring.lagrange(tuple(known), self.index)
        return encode_answer([ring.combine(factors, column) for column in columns], ring)

    def value_at_zero(self, entry: Answer, opening: Opening, turn: Round) -> bytes | None:
        """Return what the early answers are to open, the same for all fellows: no right value."""
        del entry, turn
        return bytes(opening.rule.answer_bytes)


class FitsAWrongValue(FitsAWrongPolynomial):
    """Its v is wrong, and with its fellows it answers so that the early answers fit it."""

    def opening(self, stage: str, data: bytes) -> bytes:
        """Spoil a value of the preprocessing."""
        return flipped(data) if stage in OFFLINE else data

    def _values(self, entry: Answer, state: CeremonyState) -> bytes | None:
        """Answer as everybody does where the decoder is honest."""
        opening = state.opening((entry.batch.stage, entry.batch.batch))
        lies = (
            opening is not None
            and opening.context == entry.context
            and opening.rounds[entry.round].decoder in self.fellows
        )
        return super()._values(entry, state) if lies else entry.values

    def value_at_zero(self, entry: Answer, opening: Opening, turn: Round) -> bytes | None:
        """Return what fits the wrong v, None while that is not here."""
        del entry
        return opening.expected(turn)
