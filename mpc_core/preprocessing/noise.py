"""Shares of noise with exactly the TUniform distribution of the standard (PROTOCOL.md, "Noise").

TUniform(m) is E = -2^m + sum_(i=0..m) 2^i b_i + b_(m+1): uniform on [-2^m, 2^m] with half weight
on the two end points. The weighted bits come from a batch whose groups `batches.noise_groups`
lists; only the share of E is kept.

Security: nobody knows a bit or E. The sum is linear and local, so nobody can bias it either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mpc_core.preprocessing.batches import noise_groups
from mpc_core.preprocessing.bits import OpenedBits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpc_core.preprocessing.batches import Segment
    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.sharing.opening import Buffer
    from mpc_core.sharing.sums import StreamSums

__all__ = ["noise_shares", "opened_noise_shares"]

TILE_BODIES = 1 << 14
"""Bodies whose noise is added up at a time: it stays in the second cache meanwhile."""


def opened_noise_shares(
    x: StreamSums, segments: Sequence[Segment], v: Buffer, ring: Ring
) -> RingArray:
    """Return shares of E for every body of a noise batch, without keeping those of its bits.

    Args:
        x: the sums for the x of the batch (`prss_sums`).
        segments: the runs of the batch, each with its bound m.
        v: the opening, as it is encoded.
        ring: GR(2^K, d).

    Returns:
        Degree-t shares of E, in the order of the segments, (bodies, d[, 2]).

    Raises:
        CeremonyError: RF-BATCH-002, RF-BATCH-003 or RF-BATCH-020 if v is no opening of even values.
    """
    opened = OpenedBits(x, noise_groups(segments), v, ring)
    noise = ring.zeros(sum(segment.count for segment in segments))
    start = group = 0
    for segment in segments:
        bound = segment.noise_bound_log2
        part = noise[start : start + segment.count]
        part[:, 0] = ring.words_from_integers([-(1 << bound)])
        for first in range(0, segment.count, TILE_BODIES):
            tile = part[first : first + TILE_BODIES]
            opened.add(group, first, tile)
            opened.add(group, segment.count + first, tile)
            for weight in range(1, bound + 1):
                opened.add(group + weight, first, tile)
        start, group = start + segment.count, group + bound + 1
    return noise


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
