"""Lies about vectors, openings and answers of a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mpc_core.adversary.twin import Twin, flipped
from mpc_core.protocol.context import OFFLINE
from mpc_core.protocol.entries import Answer, Decoded, Have, Root

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.state import CeremonyState

__all__ = [
    "AnswersForBitsWronglyUnserved",
    "AnswersForProductsWronglyUnserved",
    "AnswersWrongly",
    "CommitsToNothing",
    "DecodesNothing",
    "DecodesOddly",
    "DecodesSilently",
    "DecodesWrongly",
    "KeepsAnswersBack",
    "KeepsRootsBack",
    "MakesAWrongVector",
    "ServesLate",
    "ServesNobody",
    "ServesSome",
    "ServesTooLittle",
    "ServesTooMuch",
    "ServesTwoVectors",
    "VouchesBlindly",
]

ONLINE = "O"


class MakesAWrongVector(Twin):
    """Its vector is wrong, and root and answers follow from it."""

    stages = frozenset(OFFLINE)

    def vector(self, stage: str, data: bytes) -> bytes:
        """Spoil a value, at the same place each time: it is asked for the vector again."""
        if stage not in self.stages:
            return data
        return flipped(data, len(data) // 2)


class MakesWrongNoise(MakesAWrongVector):
    """Its noise bits of the largest weight are others: the noise would leave its range."""

    stages = frozenset("N")

    def vector(self, stage: str, data: bytes) -> bytes:
        """Spoil the last group, which has the largest weight."""
        return flipped(data, -1, 64) if stage in self.stages else data


class OpensWrongly(MakesAWrongVector):
    """Its partial openings in the assembly and in decryptions are wrong."""

    stages = frozenset(ONLINE)


class KeepsAnswersToABadVector(MakesAWrongVector):
    """Its vector is wrong and matches its root; it is used, and then no answer comes."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Keep answers of the preprocessing back."""
        del state
        return () if isinstance(entry, Answer) and entry.batch.stage in OFFLINE else (entry,)


class AnswersWrongly(Twin):
    """Its vector is right, and one in so many answers is not."""

    stages = frozenset(OFFLINE)
    chance = 0.3

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Spoil an answer."""
        del state
        if isinstance(entry, Answer) and entry.batch.stage in self.stages:
            seed = entry.context[self.index % len(entry.context)]
            if seed < 256 * self.chance:
                entry = replace(entry, values=flipped(entry.values))
        return (entry,)


class AnswersWronglyUnserved(AnswersWrongly):
    """It answers wrongly and serves its vector to nobody: the batch has to be burnt."""

    def serves(self, asker: int, data: bytes) -> bytes | None:
        """Serve nothing."""
        del asker, data
        return None


class AnswersForBitsWronglyUnserved(AnswersWronglyUnserved):
    """It answers wrongly for key bits and serves nothing: all bits and products are drawn anew."""

    stages = frozenset("S")
    chance = 1.0


class AnswersForProductsWronglyUnserved(AnswersWronglyUnserved):
    """It answers wrongly for products and serves nothing: keys of what they consumed are posted."""

    stages = frozenset("M")
    chance = 1.0


class AnswersTheAssemblyWrongly(AnswersWrongly):
    """It answers challenges of the assembly wrongly."""

    stages = frozenset(ONLINE)
    chance = 1.0


class KeepsAnswersBack(Twin):
    """It never answers a challenge, and signs other messages all the time."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Keep answers back."""
        del state
        return () if isinstance(entry, Answer) else (entry,)


class AnswersLateAndWrongly(Twin):
    """It is silent until the seal; then its answers come, and they are wrong."""

    def __init__(self, index: int, luck: random.Random) -> None:
        """Remember what it keeps back."""
        super().__init__(index, luck)
        self.kept: list[Answer] = []

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Keep answers of one stage back."""
        del state
        if isinstance(entry, Answer) and entry.batch.stage == "M":
            self.kept.append(replace(entry, values=flipped(entry.values)))
            return ()
        return (entry,)

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Post what was kept back once nothing can be done about it."""
        if state.sealed is None:
            return ()
        late, self.kept = self.kept, []
        return late


class KeepsRootsBack(Twin):
    """It never commits to its vectors of the preprocessing."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Keep roots back."""
        del state
        return () if isinstance(entry, Root) and entry.batch.stage in OFFLINE else (entry,)


class CommitsToNothing(Twin):
    """Its root is that of no vector that it could serve."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Post another root."""
        del state
        return (replace(entry, root=flipped(entry.root)) if isinstance(entry, Root) else entry,)


class ServesNobody(Twin):
    """It serves nothing."""

    def serves(self, asker: int, data: bytes) -> bytes | None:
        """Serve nothing."""
        del asker, data
        return None


class ServesSome(Twin):
    """It serves half of the others."""

    def serves(self, asker: int, data: bytes) -> bytes | None:
        """Serve who has an even seat."""
        return None if asker % 2 else data


class ServesLate(Twin):
    """It serves at the third call."""

    def __init__(self, index: int, luck: random.Random) -> None:
        """Count calls."""
        super().__init__(index, luck)
        self.calls = 0

    def serves(self, asker: int, data: bytes) -> bytes | None:
        """Serve now and then."""
        del asker
        self.calls += 1
        return None if self.calls % 3 else data


class ServesTooLittle(Twin):
    """It cuts what it serves."""

    def serves(self, asker: int, data: bytes) -> bytes | None:
        """Leave the end out."""
        del asker
        return data[: len(data) // 2]


class ServesTooMuch(Twin):
    """It adds to what it serves."""

    def serves(self, asker: int, data: bytes) -> bytes | None:
        """Serve it twice over."""
        del asker
        return data + data


class ServesTwoVectors(Twin):
    """It serves other bytes to half of the others."""

    def serves(self, asker: int, data: bytes) -> bytes | None:
        """Spoil what odd seats get."""
        return flipped(data) if asker % 2 else data


class DecodesWrongly(Twin):
    """Its v is wrong, and even."""

    def opening(self, stage: str, data: bytes) -> bytes:
        """Spoil a value."""
        del stage
        return flipped(data)


class DecodesOddly(Twin):
    """Its v is odd."""

    def opening(self, stage: str, data: bytes) -> bytes:
        """Spoil a parity."""
        del stage
        return flipped(data, 0, 1)


class DecodesSilently(Twin):
    """It never posts a decoder's entry."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Keep decoder's entries back."""
        del state
        return () if isinstance(entry, Decoded) else (entry,)


class DecodesNothing(Twin):
    """Its decoder's entries name a v that nobody has."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Name another root, and vouch for it."""
        del state
        if isinstance(entry, Decoded):
            entry = replace(entry, root=flipped(entry.root))
            return (entry, Have(entry.batch, entry.context, entry.root))
        return (entry,)


class VouchesBlindly(Twin):
    """It says that it holds every v that anybody names."""

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Vouch for whatever is on the log."""
        for opening in state.openings:
            for turn in opening.rounds:
                if turn.decoded is not None:
                    known = opening.haves.get(turn.decoded.root, ())
                    if self.index not in known:
                        yield Have(opening.name, opening.context, turn.decoded.root)
