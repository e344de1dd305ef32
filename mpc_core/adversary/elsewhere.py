"""Replays: what was said elsewhere, in another ceremony, in another batch, or by somebody else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mpc_core.adversary.twin import Twin, flipped
from mpc_core.protocol.context import OFFLINE
from mpc_core.protocol.entries import Answer, Contribution, KemKey, Root

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping

    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.state import CeremonyState

__all__ = [
    "CommitsToAnothersVector",
    "CopiesAnAnswer",
    "Elsewhere",
    "RepeatsAnotherCeremony",
    "SendsStringsOfAnother",
    "SendsStringsOfAnotherCeremony",
    "SharesAVectorOfAnotherBatch",
    "SharesAVectorOfAnotherCeremony",
]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the same operators said in another ceremony, under another plan.

    Attributes:
        envelopes: everything on its log, as it was signed.
        entries: the messages on its log, by author.
        vectors: share vectors, by operator and stage.
    """

    envelopes: tuple[bytes, ...] = ()
    entries: Mapping[int, tuple[Entry, ...]] = field(default_factory=dict)
    vectors: Mapping[tuple[int, str], tuple[bytes, ...]] = field(default_factory=dict)


class _KnowsElsewhere(Twin):
    """A twin that took part in another ceremony."""

    needs_elsewhere = True


class RepeatsAnotherCeremony(_KnowsElsewhere):
    """It posts what was said in another ceremony, as it was signed or signed anew."""

    def repeats(self) -> Iterable[bytes]:
        """Repeat what anybody signed elsewhere."""
        return (self.luck.choice(self.elsewhere.envelopes),)

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Sign something of its own anew: nothing of the key setup, which is another lie."""
        del state
        setup = (Contribution, KemKey)
        own = [each for each in self.elsewhere.entries[self.index] if not isinstance(each, setup)]
        return (self.luck.choice(own),)


class SendsStringsOfAnotherCeremony(_KnowsElsewhere):
    """Its contribution is that of another ceremony."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Post the contribution of elsewhere."""
        del state
        if isinstance(entry, Contribution) and not entry.round:
            own = self.elsewhere.entries[self.index]
            entry = next(each for each in own if isinstance(each, Contribution))
        return (entry,)


class SendsStringsOfAnother(Twin):
    """Its contribution is that of another operator, as far as it can be."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Copy the first contribution that is on the log."""
        others = [
            log.entry
            for log in state.log
            if isinstance(log.entry, Contribution) and log.signers != (self.index,)
        ]
        if isinstance(entry, Contribution) and others:
            sent, count = dict(others[0].ciphertexts), len(entry.commitments)
            entry = replace(
                entry,
                commitments=(others[0].commitments * count)[:count],
                ciphertexts=tuple((peer, sent.get(peer, own)) for peer, own in entry.ciphertexts),
            )
        return (entry,)


class SharesAVectorOfAnotherCeremony(_KnowsElsewhere):
    """Its vectors are those of another ceremony, and root and answers follow from them."""

    def vector(self, stage: str, data: bytes) -> bytes:
        """Take one of the same length, the same each time."""
        known = self.elsewhere.vectors.get((self.index, stage), ())
        fitting = [each for each in known if len(each) == len(data)]
        return fitting[0] if stage in OFFLINE and fitting else data


class SharesAVectorOfAnotherBatch(Twin):
    """Its vectors of a stage are that of its first batch, and root and answers follow from it."""

    def __init__(self, index: int, luck: random.Random) -> None:
        """Remember the first vectors."""
        super().__init__(index, luck)
        self.first: dict[tuple[str, int], bytes] = {}

    def vector(self, stage: str, data: bytes) -> bytes:
        """Take the first one of the same length."""
        return self.first.setdefault((stage, len(data)), data) if stage in OFFLINE else data


class CommitsToAnothersVector(Twin):
    """Its roots are those of another operator."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Copy the first root on the log."""
        if isinstance(entry, Root) and entry.batch.stage in OFFLINE:
            opening = state.opening((entry.batch.stage, entry.batch.batch))
            roots = {} if opening is None else opening.roots
            others = [root for operator, root in roots.items() if operator != self.index]
            if others:
                entry = replace(entry, root=others[0])
        return (entry,)


class CopiesAnAnswer(_KnowsElsewhere):
    """Its answers are those of somebody else, or of itself in another ceremony."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Copy an answer of this round, else one from elsewhere."""
        if isinstance(entry, Answer) and entry.batch.stage in OFFLINE:
            entry = replace(entry, values=self._copied(entry, state))
        return (entry,)

    def _copied(self, entry: Answer, state: CeremonyState) -> bytes:
        opening = state.opening((entry.batch.stage, entry.batch.batch))
        answers = {} if opening is None else opening.rounds[entry.round].answers
        here = [values for operator, values in answers.items() if operator != self.index]
        own = self.elsewhere.entries[self.index]
        there = [
            each.values
            for each in own
            if isinstance(each, Answer) and len(each.values) == len(entry.values)
        ]
        return next(iter(here + there), flipped(entry.values))
