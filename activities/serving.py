"""What operators serve to one another, so that nobody is asked for much more than others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpc_core.preprocessing.layout import CeremonyLayout

__all__ = ["decoding_load"]

_STAGES = ("N", "S", "M", "O")


def decoding_load(layout: CeremonyLayout, operators: int) -> Counter[int]:
    """Return the bytes of opened values that each operator serves as the first decoder of batches.

    The layout fixes them beforehand: round 0 of batch i belongs to operator i mod n + 1 unless that
    one is away. Who decodes much is spared where there is a choice.
    """
    load: Counter[int] = Counter()
    for stage in _STAGES:
        for batch in layout.stage(stage):
            load[batch.index % operators + 1] += (operators - 1) * batch.opened_bytes
    return load
