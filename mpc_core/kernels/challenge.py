"""Numba twin of the sums in `sharing.challenge`: subset sums of eight elements at a time.

One byte of the challenge says which of eight neighbouring elements enter one sum. The 256 subset
sums of the eight are tabulated once and serve every row of the challenge, so an element costs
about rows / 8 additions and no multiplication. Addresses depend on the public challenge only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mpc_core.ring.galois import Ring, RingArray

__all__ = ["subset_sums"]

NATIVE_BITS = 64


@njit("void(u8[:,::1], u1[::1], u1[:,::1], u8[:,::1])", nogil=True, cache=True)
def _subset_sums_64(elements, weights, stream, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    count, degree = elements.shape
    chunks, rows = stream.shape
    table = np.zeros((256, degree), np.uint64)
    for chunk in range(chunks):
        for bit in range(8):
            at = chunk * 8 + bit
            size = 1 << bit
            for c in range(degree):
                word = np.uint64(0)
                if at < count:
                    word = elements[at, c] << np.uint64(weights[at])
                for subset in range(size):
                    table[size + subset, c] = table[subset, c] + word
        for row in range(rows):
            chosen = np.int64(stream[chunk, row])
            for c in range(degree):
                sums[row, c] += table[chosen, c]


@njit("void(u8[:,:,::1], u1[::1], u1[:,::1], u8[:,:,::1])", nogil=True, cache=True)
def _subset_sums_128(elements, weights, stream, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    count, degree, _ = elements.shape
    chunks, rows = stream.shape
    word_bits = np.uint64(64)
    table_low = np.zeros((256, degree), np.uint64)
    table_high = np.zeros((256, degree), np.uint64)
    for chunk in range(chunks):
        for bit in range(8):
            at = chunk * 8 + bit
            size = 1 << bit
            for c in range(degree):
                low, high = np.uint64(0), np.uint64(0)
                if at < count:
                    low, high = elements[at, c, 0], elements[at, c, 1]
                    weight = np.uint64(weights[at])
                    if weight >= word_bits:
                        high = low << (weight - word_bits)
                        low = np.uint64(0)
                    elif weight > np.uint64(0):
                        high = (high << weight) | (low >> (word_bits - weight))
                        low <<= weight
                for subset in range(size):
                    before = table_low[subset, c]
                    after = before + low
                    table_low[size + subset, c] = after
                    carry = np.uint64(after < before)
                    table_high[size + subset, c] = table_high[subset, c] + high + carry
        for row in range(rows):
            chosen = np.int64(stream[chunk, row])
            for c in range(degree):
                before = sums[row, c, 0]
                after = before + table_low[chosen, c]
                sums[row, c, 0] = after
                carry = np.uint64(after < before)
                sums[row, c, 1] += table_high[chosen, c] + carry


def subset_sums(
    elements: RingArray, weights: NDArray[np.uint8], stream: NDArray[np.uint8], ring: Ring
) -> RingArray:
    """Add up the elements that each row of the challenge selects, as `challenge.subset_sums`."""
    sums = ring.zeros(stream.shape[1])
    run = _subset_sums_64 if ring.bits == NATIVE_BITS else _subset_sums_128
    run(np.require(elements, requirements=["C", "W"]), weights, stream, sums)
    return sums
