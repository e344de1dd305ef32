"""What an operator reads off the log about its batches: questions to a state that stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activities.arithmetic import Question
from mpc_core.protocol.batch import Verdict
from mpc_core.protocol.context import OFFLINE
from mpc_core.protocol.entries import Evidence, Seal

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.opening import Opening, Round
    from mpc_core.protocol.state import CeremonyState

__all__ = [
    "awaited_values",
    "barred_roots",
    "decoded",
    "held_round",
    "holders",
    "is_answered",
    "is_disputed",
    "is_settled",
    "may_correct",
    "may_say",
    "offline_questions",
    "others_sealed",
    "roots",
    "takes_entries",
    "turn_of",
    "unsettled",
    "unstored",
    "usable_roots",
    "value_root",
    "vectors_and_evidence",
    "words_about",
]


def takes_entries(state: CeremonyState, key: BatchKey) -> bool:
    """Tell whether a batch is not sealed: a late order finds its keys destroyed."""
    return any(opening.rule.key == key for opening in state.openings)


def is_answered(state: CeremonyState, key: BatchKey, operator: int) -> bool:
    """Tell whether a batch has a value that holds and this operator has answered for it."""
    opening = state.opening(key)
    return opening is not None and is_settled(opening, operator)


def is_settled(opening: Opening, operator: int) -> bool:
    """Do `is_answered` for the opening itself."""
    return opening.held is not None and all(
        operator in turn.answers for turn in opening.rounds if turn.decoded is not None
    )


def unstored(
    state: CeremonyState, operator: int, stored: AbstractSet[tuple[bytes, bytes]]
) -> tuple[BatchKey, ...]:
    """Return the batches before the seal that an operator has answered and has no shares of.

    Args:
        state: the ceremony.
        operator: whose shares.
        stored: contexts and roots of opened values of which it has them.
    """
    return tuple(
        opening.rule.key
        for opening in state.openings
        if opening.rule.stage in OFFLINE
        and is_settled(opening, operator)
        and (opening.context, value_root(opening)) not in stored
    )


def unsettled(state: CeremonyState, operator: int) -> frozenset[bytes]:
    """Return the contexts of all batches that are not sealed and not settled for this operator."""
    return frozenset(
        opening.context for opening in state.openings if not is_settled(opening, operator)
    )


def is_disputed(state: CeremonyState, opening: Opening) -> bool:
    """Tell whether the vectors of an opening may be evidence: a v was refuted, or somebody accused.

    That is rare, so they are kept until all is over.
    """
    accused = any(each.context == opening.context for each in state.justice.evidence)
    return accused or any(turn.verdict is Verdict.ODD_V for turn in opening.rounds)


def vectors_and_evidence(state: CeremonyState) -> set[bytes]:
    """Return the roots of all share vectors of N, S and M, and of all evidence."""
    vectors = {
        root
        for opening in state.ever_opened
        if opening.rule.stage in OFFLINE
        for root in opening.roots.values()
    }
    evidence = {
        log.entry.root
        for posted in state.justice.evidence.values()
        for log in posted.values()
        if isinstance(log.entry, Evidence)
    }
    return vectors | evidence


def may_correct(state: CeremonyState, operator: int) -> bool:
    """Tell whether the plan allows an operator another correction."""
    used = state.justice.corrections[operator]
    return state.sealed is None and used < state.plan.limits.corrections_per_operator


def offline_questions(state: CeremonyState) -> list[Question]:
    """Return the challenges of the opened values of N, S and M that nobody needs at the end.

    Whoever comes back below the seal goes without them. Where a value was refuted, or a batch
    burnt, it cannot: the log does not say of every moment what it was.
    """
    disputed = state.disputed
    return [
        Question.of(opening.context, turn)
        for opening in state.ever_opened
        if opening.rule.stage in OFFLINE and opening.rule.key not in disputed
        for turn in opening.rounds
        if turn.decoded is not None
    ]


def roots(state: CeremonyState, key: BatchKey) -> dict[int, bytes]:
    """Return the roots of the share vectors that were posted, by operator."""
    opening = state.opening(key)
    return {} if opening is None else opening.roots


def holders(state: CeremonyState, key: BatchKey, root: bytes) -> frozenset[int]:
    """Return who vouched for the v with this root."""
    opening = state.opening(key)
    return frozenset() if opening is None else frozenset(opening.haves.get(root, ()))


def usable_roots(state: CeremonyState, key: BatchKey) -> tuple[dict[int, bytes], int]:
    """Return the roots a decoder may use, and how many it needs."""
    opening = state.opening(key)
    if opening is None:
        return {}, 0
    barred = state.members.excluded | opening.unproven_now() | opening.services.unserving
    usable = {index: root for index, root in opening.roots.items() if index not in barred}
    return usable, opening.rule.points(opening.quorum)


def barred_roots(state: CeremonyState, key: BatchKey) -> dict[int, bytes]:
    """Return the roots that no decoder may use only because t+1 operators were not served."""
    opening = state.opening(key)
    if opening is None:
        return {}
    barred = opening.services.unserving - state.members.excluded - opening.unproven_now()
    return {index: opening.roots[index] for index in sorted(barred)}


def may_say(
    state: CeremonyState, key: BatchKey, author: int, operator: int, *, serves: bool
) -> bool:
    """Tell whether an operator's word that another serves its vector, or does not, is news."""
    opening = state.opening(key)
    if opening is None or author == operator:
        return False
    said = opening.services.said.get(operator, {}).get(author)
    contradicts = said is not None or operator in opening.services.unserving
    return said is not serves and (contradicts or not serves)


def turn_of(state: CeremonyState, key: BatchKey, number: int) -> Round | None:
    """Return a round, or the one that holds; None while this log does not show the round."""
    opening = state.opening(key)
    if opening is None or not opening.rounds:
        return None
    if opening.held is not None:
        return opening.rounds[opening.held]
    return opening.rounds[number] if number < len(opening.rounds) else None


def decoded(state: CeremonyState, key: BatchKey, number: int) -> tuple[Round, ...] | None:
    """Return the rounds with a decoder's entry, None while this log does not show that round's.

    A round that is closed gets no entry any more.
    """
    awaited = turn_of(state, key, number)
    if awaited is None or (awaited.decoded is None and not awaited.closed):
        return None
    opening = state.opening(key)
    rounds = () if opening is None else opening.rounds
    return tuple(turn for turn in rounds if turn.decoded is not None)


def awaited_values(state: CeremonyState, key: BatchKey) -> list[tuple[Opening, Round]]:
    """Return the rounds of a batch, under dead contexts too, whose v this operator must hold."""
    return [
        (opening, turn)
        for opening in state.awaiting
        if opening.rule.key == key
        for turn in opening.awaited
    ]


def others_sealed(state: CeremonyState, key: BatchKey) -> bool:
    """Tell whether n-t operators sealed a batch, whether this party can judge that or not.

    Security: one of n-t signers at least is honest, and it had found every batch complete.
    """
    return key[0] in OFFLINE and any(
        isinstance(log.entry, Seal) and state.quorum.signed_by(set(log.signers))
        for log in state.log
    )


def words_about(state: CeremonyState, key: BatchKey, author: int, operator: int) -> int:
    """Return how often an author has spoken of being served an operator's vector."""
    opening = state.opening(key)
    return 0 if opening is None else opening.services.words[author, operator]


def value_root(opening: Opening) -> bytes | None:
    """Return the root of the value that holds in an opening."""
    held = None if opening.held is None else opening.rounds[opening.held].decoded
    return None if held is None else held.root


def held_round(state: CeremonyState, key: BatchKey) -> Round | None:
    """Return the round whose v is the batch's opened value.

    While this operator does not hold v it cannot judge the answers itself; n-t operators that
    vouch for v, and enough answers, are what its verdict will rest on once it has fetched v.
    """
    opening = state.opening(key)
    if opening is None:
        return None
    if opening.held is not None:
        return opening.rounds[opening.held]
    return next((turn for turn in opening.rounds if turn.verdict.awaits_v), None)
