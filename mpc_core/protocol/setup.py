"""Who contributes to which key of the PRSS, and what complaints make of it.

PROTOCOL.md, "PRSS keys":

- For every set A of n-t operators, t+1 rotating members contribute a random string each; so at
  least one contribution is honest.
- A complaint turns the contributor's strings for every set that contains both into all-zero. A
  true complaint proves that such a set holds a corrupted member, so its key protects nothing.
- Void are complaints by an operator that changed its KEM key after the contributions began, and
  those by an operator that complains about more than t contributors: it is its own key that is
  broken. It gets the strings from other members.
- A set without a surviving contribution, one of which is merely missing, never gets a zero key:
  the next members in rotation are asked, round after round.
- A reference value of a stage key is the one value that more than t members of A acknowledged.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from mpc_core.protocol.context import STAGES
from mpc_core.protocol.quorum import AccessSet, Quorum, access_sets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

__all__ = [
    "ReferenceTable",
    "SetupFacts",
    "Source",
    "contributors",
    "differing_operators",
    "effective_complaints",
    "key_sources",
    "needs_replacement",
    "reference_table",
    "references_digest",
    "sets_contributed_by",
    "sets_of",
    "sets_to_replace",
]

ReferenceTable = dict[tuple[AccessSet, str], bytes]
"""Reference value of every (set, stage), in canonical order."""


@dataclass(frozen=True, slots=True)
class Source:
    """A contribution that makes up a key; a zeroed one enters as the all-zero string."""

    operator: int
    round: int
    zeroed: bool


@dataclass(frozen=True, slots=True)
class SetupFacts:
    """What the log says about the contributions.

    Attributes:
        posted: (operator, round) of every valid contribution.
        asked: for each round begun, the sets whose members were asked.
        closed: number of rounds that are closed: who has not posted by then is missing.
        complaints: (complainer, contributor) as posted.
        rekeyed: operators that changed their KEM key after the contributions began.
    """

    posted: frozenset[tuple[int, int]]
    asked: tuple[tuple[AccessSet, ...], ...]
    closed: int
    complaints: frozenset[tuple[int, int]] = frozenset()
    rekeyed: frozenset[int] = frozenset()


@cache
def sets_of(operator: int, quorum: Quorum) -> tuple[AccessSet, ...]:
    """Return the sets that contain this operator, in canonical order."""
    return tuple(members for members in access_sets(quorum) if operator in members)


@cache
def _rank(quorum: Quorum) -> dict[AccessSet, int]:
    return {members: rank for rank, members in enumerate(access_sets(quorum))}


@cache
def contributors(members: AccessSet, quorum: Quorum, round_number: int = 0) -> tuple[int, ...]:
    """Return the t+1 members of A that a round asks, in rotation from the rank of A.

    Each round goes on where the one before ended; when the list is exhausted it starts anew.
    """
    asked = quorum.threshold + 1
    start = _rank(quorum)[members] + round_number * asked
    return tuple(members[(start + step) % len(members)] for step in range(asked))


@cache
def sets_contributed_by(
    operator: int,
    quorum: Quorum,
    round_number: int = 0,
    asked: tuple[AccessSet, ...] | None = None,
) -> tuple[AccessSet, ...]:
    """Return the sets for which a round asks this operator, in canonical order.

    Args:
        operator: the contributor.
        quorum: n and t.
        round_number: 0, or the number of a replacement round.
        asked: the sets of that round; all sets in round 0.

    Returns:
        The sets its commitments are listed for.
    """
    candidates = access_sets(quorum) if asked is None else asked
    return tuple(
        members for members in candidates if operator in contributors(members, quorum, round_number)
    )


def effective_complaints(
    complaints: Iterable[tuple[int, int]], rekeyed: AbstractSet[int], quorum: Quorum
) -> frozenset[tuple[int, int]]:
    """Return the complaints (complainer, contributor) that have an effect.

    Security: a liar that complains can only void strings of sets it belongs to, and those keys it
        knows anyway. One with a broken key of its own cannot void more than t contributors.
    """
    distinct = {pair for pair in complaints if pair[0] != pair[1]}
    count = Counter(complainer for complainer, _ in distinct)
    return frozenset(
        pair for pair in distinct if count[pair[0]] <= quorum.threshold and pair[0] not in rekeyed
    )


def key_sources(members: AccessSet, facts: SetupFacts, quorum: Quorum) -> tuple[Source, ...]:
    """Return the contributions that make up k_A: by round, then in rotation.

    Missing contributions are left out; those a member of A rightfully complained about are zeroed.
    """
    return _sources(
        members, facts, effective_complaints(facts.complaints, facts.rekeyed, quorum), quorum
    )


def _sources(
    members: AccessSet,
    facts: SetupFacts,
    effective: AbstractSet[tuple[int, int]],
    quorum: Quorum,
) -> tuple[Source, ...]:
    return tuple(
        Source(
            operator,
            round_number,
            zeroed=any((member, operator) in effective for member in members),
        )
        for round_number, asked in enumerate(facts.asked)
        if round_number == 0 or members in asked
        for operator in contributors(members, quorum, round_number)
        if (operator, round_number) in facts.posted
    )


def needs_replacement(members: AccessSet, facts: SetupFacts, quorum: Quorum) -> bool:
    """Tell whether A has no surviving contribution although one was only missing."""
    return members in sets_to_replace(facts, quorum)


def sets_to_replace(facts: SetupFacts, quorum: Quorum) -> tuple[AccessSet, ...]:
    """Return the sets the setup pauses for: the next members in rotation are asked for them.

    Security: of more than t members that are zeroed one is honest, so a member that complained
        about it lies. It knows the key of this set anyway, and could void all others for ever.
    """
    effective = effective_complaints(facts.complaints, facts.rekeyed, quorum)
    paused = []
    for members in access_sets(quorum):
        sources = _sources(members, facts, effective, quorum)
        zeroed = {source.operator for source in sources if source.zeroed}
        if len(zeroed) > quorum.threshold or any(not source.zeroed for source in sources):
            continue
        if any(
            (operator, round_number) not in facts.posted
            for round_number in range(facts.closed)
            if round_number == 0 or members in facts.asked[round_number]
            for operator in contributors(members, quorum, round_number)
        ):
            paused.append(members)
    return tuple(paused)


def reference_table(
    acknowledgements: Mapping[int, tuple[bytes, ...]], quorum: Quorum
) -> ReferenceTable | None:
    """Return the reference of every (set, stage), None unless each has exactly one.

    Args:
        acknowledgements: by operator, the references of its sets in canonical order, for each the
            stages N, S, M, O.
        quorum: n and t.

    Returns:
        The table, or None while some (set, stage) has no value, or two values, with more than t
        supporters among its members.

    Security: more than t supporters contain an honest one. Two such values mean honest members
        disagree; the setup is not sealed then.
    """
    votes: dict[tuple[AccessSet, str], Counter[bytes]] = {
        (members, stage): Counter() for members in access_sets(quorum) for stage in STAGES
    }
    for operator, references in acknowledgements.items():
        places = ((members, stage) for members in sets_of(operator, quorum) for stage in STAGES)
        for place, reference in zip(places, references, strict=True):
            votes[place][reference] += 1
    table: ReferenceTable = {}
    for place, counted in votes.items():
        supported = [value for value, count in counted.items() if count > quorum.threshold]
        if len(supported) != 1:
            return None
        table[place] = supported[0]
    return table


def references_digest(table: ReferenceTable) -> bytes:
    """Return the digest of a complete table, by which the setup seal names it."""
    content = b"".join(table[place] for place in sorted(table, key=_canonical))
    return hashlib.sha256(b"ringforge/references/v1" + content).digest()


def _canonical(place: tuple[AccessSet, str]) -> tuple[AccessSet, int]:
    members, stage = place
    return members, STAGES.index(stage)


def differing_operators(
    acknowledgements: Mapping[int, tuple[bytes, ...]], table: ReferenceTable, quorum: Quorum
) -> tuple[int, ...]:
    """Return the operators that acknowledged some other value: each recomputes or fetches."""
    return tuple(
        operator
        for operator, references in sorted(acknowledgements.items())
        if references
        != tuple(table[members, stage] for members in sets_of(operator, quorum) for stage in STAGES)
    )
