"""What only a test may do: put the operators' final key shares together and look at the key set."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from infra.drill.insecure_key import insecurely_joined_key, same_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.support.simulation import Ceremony

__all__ = ["chi_square", "key_of", "same_key", "smallest_groups"]


def key_of(ceremony: Ceremony, operators: tuple[int, ...]) -> dict[str, NDArray[np.uint64]]:
    """Return the bits of every secret key, interpolated from the shares of these operators."""
    parties = {index: ceremony.party(index) for index in operators}
    return insecurely_joined_key(ceremony.plan, ceremony.layout, parties)


def smallest_groups(ceremony: Ceremony, operators: tuple[int, ...]):
    """Return every group of t+1 of these operators."""
    return combinations(operators, ceremony.plan.threshold + 1)


def chi_square(noise: NDArray[np.int64], bound_log2: int, buckets_log2: int = 4) -> float:
    """Return chi^2 of TUniform(b) samples in 2^buckets_log2 ranges of equal weight.

    The two ends count half, so the top end goes to the first range: every range then has the
    weight of 2^(b+1) / buckets whole values.
    """
    width = bound_log2 + 1 - buckets_log2
    places = ((noise + (1 << bound_log2)) & ((2 << bound_log2) - 1)) >> width
    counts = np.bincount(places, minlength=1 << buckets_log2)
    expected = noise.size / (1 << buckets_log2)
    return float(((counts - expected) ** 2 / expected).sum())
