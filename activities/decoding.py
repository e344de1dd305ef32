"""From which share vectors a decoder opens a batch (PROTOCOL.md, "Opening a batch").

As few are fetched as the opening needs. A vector that spoils the opening, whoever made it, must not
spoil it for ever: further ones are fetched and others are opened from.
"""

from __future__ import annotations

from itertools import combinations, islice
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from activities.operator import Operator
    from activities.ports import StagedBlob
    from activities.work import BatchWork
    from mpc_core.sharing.opening import Buffer

__all__ = ["Opened", "open_vectors"]

_MOST_SUBSETS = 64
"""Subsets that are tried at degree 2t each time a further vector is at hand."""

_OWN_DISK = "RF-DISK-"
"""Codes of errors that are no vector's fault."""

Opened = tuple[tuple[int, ...], "StagedBlob"]
"""The operators whose vectors an opening is made of, and the opening."""


def open_vectors(
    operator: Operator,
    work: BatchWork,
    vectors: Iterable[tuple[int, Buffer]],
    needed: int,
    expected: bytes | None = None,
) -> Opened | None:
    """Open a batch from the first vectors that give an opening which can be right.

    Args:
        operator: the decoder.
        work: the batch.
        vectors: operators and their vectors, fetched as they are asked for.
        needed: how many an opening is made of.
        expected: the root of the opening, where it is known; else any that can be right will do.

    Returns:
        The opening, not served yet, or None when no vectors give one.
    """
    held: dict[int, Buffer] = {}
    for index, vector in vectors:
        held[index] = vector
        if len(held) < needed:
            continue
        for chosen in _choices(work, held, needed):
            opening = _opened(operator, work, {index: held[index] for index in chosen})
            if opening is None:
                continue
            if expected in (None, opening.root):
                return chosen, opening
            opening.discard()
    return None


def _choices(work: BatchWork, held: Mapping[int, Buffer], needed: int) -> Iterator[tuple[int, ...]]:
    """Return the subsets to try now that a further vector is at hand."""
    if work.batch.opening == "double":
        # nothing tells which vector of an odd v is wrong: try the subsets with the newest one
        *older, newest = held
        for others in islice(combinations(older, needed - 1), _MOST_SUBSETS):
            yield (*others, newest)
        return
    fitting: tuple[int, ...] = tuple(held)
    if len(held) > needed:
        found = work.fitting(held)
        fitting = tuple(index for index in held if index in found)
    if len(fitting) >= needed:
        yield fitting[:needed]


def _opened(operator: Operator, work: BatchWork, chosen: Mapping[int, Buffer]) -> StagedBlob | None:
    """Return the opening of these vectors, or None when it cannot be right."""
    try:
        opening = operator.blobs.stage(work.open_pieces(chosen))
    except CeremonyError as refusal:
        if refusal.code.startswith(_OWN_DISK):
            raise
        return None
    try:
        work.check_opening(opening.read())
    except CeremonyError:
        opening.discard()
        return None
    return opening
