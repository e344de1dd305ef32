"""Opened values and share vectors at one operator: whoever lacks one asks those that have it.

PROTOCOL.md, "Opening a batch": a vector comes from its author, an opened value from its decoder and
from those that vouched for it, since "have v" says that its author holds v and serves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from activities.operator import Operator
    from mpc_core.protocol.batch import BatchKey

__all__ = ["get_value", "get_vector"]


def get_value(
    operator: Operator,
    key: BatchKey,
    root: bytes,
    holders: AbstractSet[int],
    first: int | None = None,
) -> memoryview:
    """Return an opened value; fetched from whoever has it when it is not here.

    Args:
        operator: who needs it.
        key: of the batch.
        root: of the value.
        holders: who vouched for it.
        first: whom to ask before the others, as its decoder.

    Raises:
        CeremonyError: the refusal of the last that was asked, or of the disk.
    """
    if not operator.blobs.has(root):
        size = operator.batch(key).opened_bytes
        sources = [] if first is None else [first]
        sources += sorted(holders - {first, operator.index})
        for position, index in enumerate(sources):
            try:
                operator.peers.fetch(index, root, size, key[0], shared=True)
            except CeremonyError:
                if position == len(sources) - 1:
                    raise
            else:
                break
    return operator.blobs.read(root)


def get_vector(operator: Operator, key: BatchKey, index: int, root: bytes) -> memoryview:
    """Return another operator's share vector; fetched from it when it is not here.

    Args:
        operator: who needs it.
        key: of the batch.
        index: whose vector.
        root: of the vector, as posted.

    Raises:
        CeremonyError: the other operator's refusal, or that of the disk.
    """
    if not operator.blobs.has(root):
        operator.peers.fetch(index, root, operator.batch(key).opened_bytes, key[0])
    return operator.blobs.read(root)
