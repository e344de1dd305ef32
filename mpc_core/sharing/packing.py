"""Packing: d values in one ring element, opened for the price of one.

V = sum_c xi^c v_c carries the values v_0 ... v_(d-1) of Z_2^K as its coefficients, and so
[V] = sum_c xi^c [v_c] is local (PROTOCOL.md, "Rings and sharings").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mpc_core.ring.galois import NARROW, from_integers, to_integers

if TYPE_CHECKING:
    from mpc_core.ring.galois import Ring, RingArray, WordArray

__all__ = ["pack", "pack_shares", "packed_count", "unpack"]


def packed_count(count: int, degree: int) -> int:
    """Return how many elements carry `count` values."""
    return -(-count // degree)


def pack(shares: RingArray, ring: Ring) -> RingArray:
    """Pack consecutive shares d at a time; positions that are missing at the end share zero.

    Args:
        shares: shares of values of Z_2^K, of any degree, shape (count, d[, 2]).
        ring: their ring.

    Returns:
        Shares of the packed values, of the same degree, shape (ceil(count/d), d[, 2]).

    Security: a linear map of shares. The packed sharing still needs a zero mask before it is
        opened, unless it is a degree-t sharing of a value that may be known.
    """
    from mpc_core.kernels import packing  # noqa: PLC0415 kernels compile when imported

    if shares.shape != ring.shape(len(shares)):
        raise ValueError("shares of another ring")
    out = np.empty(ring.shape(packed_count(len(shares), ring.degree)), np.uint64)
    kernel = packing.pack_64 if ring.bits == NARROW else packing.pack_128
    kernel(np.ascontiguousarray(shares), out)
    return out


def unpack(values: RingArray, count: int) -> WordArray:
    """Return the first `count` values of Z_2^K that public packed elements carry.

    Args:
        values: opened elements, shape (m, d[, 2]).
        count: at most m * d.

    Returns:
        Words, shape (count[, 2]), a view where possible.
    """
    words = values.reshape(-1, *values.shape[2:])
    if count > len(words):
        raise ValueError("more values than the elements carry")
    return words[:count]


def pack_shares(shares: RingArray, out: RingArray) -> None:
    """Write the packed shares to `out`: the reference of the kernels `pack_64` and `pack_128`."""
    bits = NARROW if shares.ndim == len(("count", "d")) else 2 * NARROW
    count, degree = shares.shape[:2]
    padded = np.zeros((len(out) * degree, degree), dtype=object)
    padded[:count] = to_integers(shares, bits)
    positions = padded.reshape(len(out), degree, degree)
    total = np.zeros((len(out), degree), dtype=object)
    for c in reversed(range(degree)):
        if degree > 1:  # total *= xi
            top = total[:, -1:].copy()
            total = np.concatenate((-top, total[:, :-1]), axis=1)
            total[:, 1:2] -= top
        total = total + positions[:, c]
    out[...] = from_integers(total, bits)
