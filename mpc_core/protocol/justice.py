"""Who is accused of what, by which evidence, and what was burnt to find out.

PROTOCOL.md, "Opening a batch", step 5, and "Blame": nobody is excluded without evidence that
everybody can check, and an exclusion is in effect from the (t+1)-th signed confirmation, since one
of them is honest. A blame kills a batch and has its keys posted; it is settled once somebody is
excluded by it, and until then there is no other blame and no seal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpc_core.protocol.quorum import AccessSet
from mpc_core.protocol.rules import require
from mpc_core.protocol.setup import sets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mpc_core.protocol.entries import Confirmation, Evidence, LogEntry, Reveal
    from mpc_core.protocol.members import Members
    from mpc_core.protocol.opening import Opening, Round
    from mpc_core.protocol.quorum import Quorum

__all__ = [
    "DECODER",
    "RECOMPUTED",
    "STREAM_KEY_BYTES",
    "VECTOR",
    "Accusation",
    "BatchKeys",
    "Burn",
    "Justice",
    "streams_of",
]

VECTOR = "vector"
"""Evidence (i): a vector under the accused's own root that its own answer does not follow from."""
DECODER = "decoder"
"""Evidence (ii): leaves under the listed roots that do not interpolate to the decoder's v."""
RECOMPUTED = "recomputed"
"""Evidence (iii): after a burn, an answer that differs from the recomputed one."""

STREAM_KEY_BYTES = 24
HASH_BYTES = 32

BatchKeys = dict[tuple[str, AccessSet], bytes]
"""Key and nonce of every stream of a batch, by stream name and set."""


def streams_of(stage: str) -> tuple[str, str]:
    """Return the names of a batch's streams, in the order in which their keys are posted."""
    return ("product" if stage == "M" else "bits", "zero")


@dataclass(frozen=True, slots=True, order=True)
class Accusation:
    """What an operator is said to have done."""

    accused: int
    ground: str
    context: bytes
    round: int


@dataclass(slots=True)
class Revealed:
    """The batch keys that were posted for one dead context."""

    opening: Opening
    quorum: Quorum
    posted: dict[int, bytes] = field(default_factory=dict)

    def post(self, author: int, keys: bytes) -> None:
        """Take the keys that an operator posts for its sets."""
        require(author not in self.posted, "the author has posted these keys")
        count = len(self.streams) * len(sets_of(author, self.quorum))
        require(len(keys) == STREAM_KEY_BYTES * count, "the keys do not match the author's sets")
        self.posted[author] = keys

    @property
    def streams(self) -> tuple[str, str]:
        """The names of the streams."""
        return streams_of(self.opening.rule.stage)

    @property
    def right(self) -> BatchKeys | None:
        """The value of every key that more than t members support; None until each has one.

        Security: among more than t supporters one is honest, and honest members hold the reference.
        """
        votes: dict[tuple[str, AccessSet], Counter[bytes]] = {}
        for author, keys in self.posted.items():
            for place, value in _places(author, keys, self.streams, self.quorum):
                votes.setdefault(place, Counter())[value] += 1
        right = {
            place: supported[0]
            for place, counts in votes.items()
            if len(supported := [v for v, c in counts.items() if c > self.quorum.threshold]) == 1
        }
        sets = {
            members for index in self.quorum.everyone for members in sets_of(index, self.quorum)
        }
        return right if len(right) == len(sets) * len(self.streams) else None


def _places(
    author: int, keys: bytes, streams: tuple[str, str], quorum: Quorum
) -> Iterator[tuple[tuple[str, AccessSet], bytes]]:
    start = 0
    for stream in streams:
        for members in sets_of(author, quorum):
            yield (stream, members), keys[start : start + STREAM_KEY_BYTES]
            start += STREAM_KEY_BYTES


@dataclass(slots=True)
class Burn:
    """A batch that a blame killed.

    Attributes:
        position: log position of the blame.
        opening: the dead opening.
        round: the decoder round whose answers contradict one another.
        suspects: operators that answered in this opening and were not excluded before.
        revealed: the contexts whose batch keys are posted: this one, and for products those of the
            key bits it consumed, without which nobody can recompute its vectors.
    """

    position: int
    opening: Opening
    round: int
    suspects: frozenset[int]
    revealed: tuple[Revealed, ...]


@dataclass(slots=True)
class Justice:
    """Accusations, burns and corrections along the log. Every method checks before it changes."""

    quorum: Quorum
    burns: list[Burn] = field(default_factory=list)
    evidence: dict[Accusation, dict[int, LogEntry]] = field(default_factory=dict)
    confirmations: dict[Accusation, set[int]] = field(default_factory=dict)
    proven: dict[Accusation, int] = field(default_factory=dict)
    """Accusations with t+1 confirmations, and the position of the last of these."""
    corrections: Counter[int] = field(default_factory=Counter)

    @property
    def unsettled(self) -> Burn | None:
        """The blame by which nobody is excluded yet, if there is one."""
        settled = {accusation.context for accusation in self.proven if _is_recomputed(accusation)}
        return next(
            (burn for burn in self.burns if burn.opening.context not in settled),
            None,
        )

    def burn(
        self,
        log: LogEntry,
        opening: Opening,
        number: int,
        consumed: Iterable[Opening],
        members: Members,
    ) -> None:
        """Take note of a valid blame."""
        answered = {operator for turn in opening.rounds for operator in turn.answers}
        self.burns.append(
            Burn(
                log.position,
                opening,
                number,
                frozenset(answered) - members.excluded,
                tuple(Revealed(each, self.quorum) for each in (opening, *consumed)),
            )
        )

    def correct(self, author: int, opening: Opening, allowed: int) -> None:
        """Take note of an operator that found its own root or answer wrong."""
        require(opening.rule.degree == "double", "lies at degree t are erasures")
        require(author in opening.roots, "the author has nothing to correct")
        require(self.corrections[author] < allowed, "the plan allows no further correction")
        self.corrections[author] += 1

    def reveal(self, author: int, entry: Reveal) -> None:
        """Take the batch keys of a dead context."""
        revealed = self.revealed(entry.context)
        require(revealed is not None, "no blame asks for the keys of this context")
        assert revealed is not None
        require(revealed.opening.name == entry.batch, "context and batch do not match")
        revealed.post(author, entry.keys)

    def revealed(self, context: bytes) -> Revealed | None:
        """Return what was posted for a context that a blame burnt, None for any other."""
        return next(
            (
                revealed
                for burn in self.burns
                for revealed in burn.revealed
                if revealed.opening.context == context
            ),
            None,
        )

    def accuse(self, log: LogEntry, entry: Evidence, opening: Opening) -> None:
        """Take note of evidence; whether it is good is for every operator to check."""
        turn = _round(opening, entry.round)
        require(len(entry.root) == HASH_BYTES and entry.size > 0, "it names no evidence")
        if entry.ground == VECTOR:
            require(entry.accused in turn.answers, "the accused has not answered")
            require(opening.roots.get(entry.accused) == entry.root, "it is another vector's root")
        else:
            require(entry.ground == DECODER, "there is no such ground")
            require(turn.decoder == entry.accused, "the accused is not the decoder")
        accusation = _accusation(entry)
        posted = self.evidence.setdefault(accusation, {})
        require(log.author not in posted, "the author has posted this evidence")
        posted[log.author] = log

    def confirm(self, log: LogEntry, entry: Confirmation, opening: Opening) -> bool:
        """Take a confirmation; return whether it is the one that excludes.

        Security: with t+1 confirmations an honest operator has checked the evidence, so t liars
            exclude nobody.
        """
        accusation = _accusation(entry)
        turn = _round(opening, entry.round)
        require(log.author != entry.accused, "nobody confirms against itself")
        if entry.ground == RECOMPUTED:
            burnt = next((b for b in self.burns if b.opening is opening), None)
            require(burnt is not None, "no blame burnt this batch")
            assert burnt is not None
            require(entry.accused in burnt.suspects, "the accused was excluded or has not answered")
            require(entry.accused in turn.answers, "the accused has not answered this round")
        else:
            require(accusation in self.evidence, "there is no such evidence")
        confirmed = self.confirmations.setdefault(accusation, set())
        require(log.author not in confirmed, "the author has confirmed this")
        confirmed.add(log.author)
        if len(confirmed) <= self.quorum.threshold or accusation in self.proven:
            return False
        self.proven[accusation] = log.position
        return True


def _is_recomputed(accusation: Accusation) -> bool:
    return accusation.ground == RECOMPUTED


def _accusation(entry: Evidence | Confirmation) -> Accusation:
    return Accusation(entry.accused, entry.ground, entry.context, entry.round)


def _round(opening: Opening, number: int) -> Round:
    require(0 <= number < len(opening.rounds), "there is no such round")
    turn = opening.rounds[number]
    require(turn.decoded is not None, "the round has no decoder's entry")
    return turn
