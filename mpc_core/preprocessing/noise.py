"""Shares of noise with exactly the TUniform distribution of the standard (PROTOCOL.md, "Noise").

TUniform(m) is E = -2^m + sum_(i=0..m) 2^i b_i + b_(m+1): uniform on [-2^m, 2^m] with half weight
on the two end points. The weighted bits come from a batch whose groups `batches.noise_groups`
lists; only the share of E is kept.

Security: nobody knows a bit or E. The sum is linear and local, so nobody can bias it either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpc_core.preprocessing.batches import Segment
    from mpc_core.ring.galois import Ring, RingArray

__all__ = ["noise_shares"]


def noise_shares(shares: RingArray, segments: Sequence[Segment], ring: Ring) -> RingArray:
    """Add up shares of weighted bits to shares of E.

    Args:
        shares: what `bits.bit_shares` returns for the noise groups of the segments.
        segments: the runs of the batch, each with its bound m.
        ring: GR(2^K, d).

    Returns:
        Degree-t shares of E for every body, in the order of the segments, (bodies, d[, 2]).
    """
    noise, start = [], 0
    for segment in segments:
        bound = segment.noise_bound_log2
        offset = ring.words_from_integers([-(1 << bound)])
        total = ring.zeros(segment.count)
        total[:, 0] = offset
        for _ in range(bound + 2):
            total = ring.add(total, shares[start : start + segment.count])
            start += segment.count
        noise.append(total)
    return np.concatenate(noise)
