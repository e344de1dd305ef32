"""From which share vectors a decoder opens a batch (PROTOCOL.md, "Opening a batch").

As few are fetched as the opening needs. A vector that spoils the opening, whoever made it, must not
spoil it for ever: further ones are fetched and others are opened from.
"""

from __future__ import annotations

from itertools import combinations, islice
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError
from mpc_core.sharing.opening import decode_double, decode_single, fitting_operators

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from activities.work import BatchWork
    from mpc_core.protocol.plan import Plan
    from mpc_core.ring.galois import RingArray

__all__ = ["Opened", "open_vectors"]

_MOST_SUBSETS = 64
"""Subsets that are tried at degree 2t each time a further vector is at hand."""

Opened = tuple[tuple[int, ...], "RingArray"]
"""The operators whose vectors an opening is made of, and the opening."""


def open_vectors(
    plan: Plan, work: BatchWork, vectors: Iterable[tuple[int, RingArray]], needed: int
) -> Opened | None:
    """Open a batch from the first vectors that give an opening which can be right.

    Args:
        plan: the plan.
        work: the batch.
        vectors: operators and their vectors, fetched as they are asked for.
        needed: how many an opening is made of.

    Returns:
        The opening, or None when no vectors give one.
    """
    held: dict[int, RingArray] = {}
    for index, vector in vectors:
        held[index] = vector
        if len(held) < needed:
            continue
        opened = (
            _open_double(plan, work, held, needed)
            if work.batch.opening == "double"
            else _open_single(plan, work, held, needed)
        )
        if opened is not None:
            return opened
    return None


def _open_double(
    plan: Plan, work: BatchWork, held: Mapping[int, RingArray], needed: int
) -> Opened | None:
    """Try the subsets with the newest vector; nothing tells which one of an odd v is wrong."""
    *older, newest = held
    for others in islice(combinations(older, needed - 1), _MOST_SUBSETS):
        chosen = (*others, newest)
        opening = decode_double(
            {index: held[index] for index in chosen},
            plan.threshold,
            work.batch.element_groups,
            work.ring,
        )
        if _can_be_right(work, opening):
            return chosen, opening
    return None


def _open_single(
    plan: Plan, work: BatchWork, held: Mapping[int, RingArray], needed: int
) -> Opened | None:
    """Open from vectors of the one polynomial that n-t of them fit."""
    fitting: tuple[int, ...] = tuple(held)
    if len(held) > needed:
        found = fitting_operators(held, plan.threshold, plan.quorum, work.ring)
        fitting = tuple(index for index in held if index in found)
    if len(fitting) < needed:
        return None
    chosen = fitting[:needed]
    try:
        opening = decode_single(
            {index: held[index] for index in chosen}, plan.threshold, plan.quorum, work.ring
        )
    except CeremonyError:
        return None  # not all of the first n-t lie on one polynomial
    return (chosen, opening) if _can_be_right(work, opening) else None


def _can_be_right(work: BatchWork, opening: RingArray) -> bool:
    try:
        work.check_opening(opening)
    except CeremonyError:
        return False
    return True
