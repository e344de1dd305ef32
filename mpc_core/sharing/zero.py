"""Zero masks: pseudo-random sharings of 0 of degree 2t, from a sparse family of sets.

For a set B of n-2t+1 operators, z_B(X) = X * prod over j outside B of (1 - X/alpha_j) has degree
2t, vanishes at 0 and at every operator outside B. The mask at operator i is
sum over B containing i of r_B z_B(alpha_i), with r_B from GR (PROTOCOL.md, "Zero masks").
Normalisation: r_B multiplies z_B exactly as written; the constants of the sum leave the common
factor alpha_i out, and it is multiplied into the sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mpc_core.ring.points import zero_constants
from mpc_core.sharing.packing import pack
from mpc_core.sharing.prss import committee_of, stream_key
from mpc_core.sharing.sets import sets_containing, zero_family
from mpc_core.sharing.sums import stream_sums

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.sharing.prss import StreamKey
    from mpc_core.sharing.sets import OperatorSet
    from mpc_core.sharing.sums import StreamSums

__all__ = ["zero_key", "zero_mask", "zero_sums"]


def zero_mask(
    keys: Mapping[OperatorSet, StreamKey], at: int, count: int, ring: Ring, first: int = 0
) -> RingArray:
    """Share `count` zeros of GR(2^K, d) at degree 2t, pseudo-randomly, without communication.

    Args:
        keys: this batch's "zero" stream key of every access set A that contains `at`.
        at: the operator whose share is computed.
        count: number of masks, one per packed element.
        ring: GR(2^K, d).
        first: number of the first mask in the streams.

    Returns:
        Degree-2t shares of 0, shape (count, d[, 2]).

    Security: to any t operators the mask is uniform among the sharings of 0 that agree with their
        own shares, since the family spans every coalition: an opening of a masked sharing shows
        the opened value and nothing else. Nobody can influence it after the key setup.

    Source: Cramer, Damgard, Ishai (2005), PRZS; the sparse family: PROTOCOL.md, "Zero masks".
    """
    d = ring.degree
    words = np.empty(ring.shape(count * d), np.uint64)
    zero_sums(keys, at, ring).fill(words, first * d)
    alpha = ring.from_exact([ring.exact.point(at)])
    return ring.multiply(pack(words, ring), alpha)


def zero_sums(keys: Mapping[OperatorSet, StreamKey], at: int, ring: Ring) -> StreamSums:
    """Prepare the sums that `zero_mask` packs and multiplies by the point alpha_at.

    Args:
        keys: this batch's "zero" stream key of every access set A that contains `at`.
        at: the operator whose masks are computed.
        ring: GR(2^K, d).

    Returns:
        Sums of words, d of which make a mask.
    """
    n, t = committee_of(keys, at)
    family = tuple(members for members in zero_family(n, t) if at in members)
    stream_keys = [zero_key(keys, n, t, members) for members in family]
    return stream_sums(stream_keys, zero_constants(at, n, family), ring)


def zero_key(
    keys: Mapping[OperatorSet, StreamKey], n: int, t: int, members: OperatorSet
) -> StreamKey:
    """Derive the key of a set B from the "zero" stream keys of all A that contain it.

    Args:
        keys: at least the keys of those A.
        n: number of operators.
        t: threshold.
        members: B.

    Returns:
        Key and nonce of B's stream.

    Security: members of B are members of all these A and know every key; any t operators outside B
        miss one of them. No long-term key of B exists, so burning a batch settles the B as well.
    """
    containing = sets_containing(n, t, members)
    secret = b"".join(keys[a].key + keys[a].nonce for a in containing)
    return stream_key(secret, b"B" + bytes(members))
