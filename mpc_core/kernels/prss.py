"""Kernels of `mpc_core.sharing.prss`: sums over many key streams times small constants.

Words of Z_2^K are taken as 32-bit limbs, which add up in 64-bit accumulators without a carry; the
carries are settled once, when all streams are in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import int32, int64, njit, uint32, uint64, void

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["accumulate", "carry"]

BLOCK = 512
"""Limbs whose accumulators stay in the first-level cache while the streams of a group pass."""


@njit([void(uint32[:, ::1], int32[:, ::1], int64[:, ::1])], nogil=True, cache=True)
def accumulate(
    streams: NDArray[np.uint32], constants: NDArray[np.int32], sums: NDArray[np.int64]
) -> None:
    """Add sum_s constants[s, c] * streams[s, k] to sums[c, k].

    Args:
        streams: limbs of a group of streams, shape (group, at least limbs); group is a multiple
            of 4.
        constants: shape (group, d).
        sums: shape (d, limbs).
    """
    group, limbs = streams.shape[0], sums.shape[1]
    for start in range(0, limbs, BLOCK):
        stop = min(start + BLOCK, limbs)
        for s in range(0, group, 4):
            x0, x1 = streams[s, start:stop], streams[s + 1, start:stop]
            x2, x3 = streams[s + 2, start:stop], streams[s + 3, start:stop]
            for c in range(sums.shape[0]):
                k0, k1 = int64(constants[s, c]), int64(constants[s + 1, c])
                k2, k3 = int64(constants[s + 2, c]), int64(constants[s + 3, c])
                total = sums[c, start:stop]
                for k in range(total.size):
                    total[k] += (k0 * int64(x0[k]) + k1 * int64(x1[k])) + (
                        k2 * int64(x2[k]) + k3 * int64(x3[k])
                    )


@njit([void(int64[:, ::1], int64, int64, uint64[:, ::1])], nogil=True, cache=True)
def carry(sums: NDArray[np.int64], limbs: int, first: int, out: NDArray[np.uint64]) -> None:
    """Settle the carries: write the words from number `first` on to `out`.

    Args:
        sums: accumulators, shape (d, words * limbs).
        limbs: 32-bit limbs of a word, 2 or 4.
        first: number of the word that goes to out[0].
        out: shape (count, d * limbs / 2).
    """
    halves = limbs // 2
    for e in range(out.shape[0]):
        for c in range(sums.shape[0]):
            rest = int64(0)
            for h in range(halves):
                at = (first + e) * limbs + 2 * h
                low = sums[c, at] + rest
                high = sums[c, at + 1] + (low >> int64(32))
                rest = high >> int64(32)
                out[e, c * halves + h] = (uint64(low) & uint64(0xFFFFFFFF)) | (
                    uint64(high) << uint64(32)
                )
