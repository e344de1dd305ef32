"""Kernels of `mpc_core.sharing.packing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import njit, uint64, void

from mpc_core.kernels.words import add_128, sub_128

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["pack_64", "pack_128"]

Elements64 = uint64[:, ::1]
Elements128 = uint64[:, :, ::1]


@njit([void(Elements64, Elements64)], nogil=True, cache=True)
def pack_64(shares: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Write sum_c xi^c shares[d e + c] to out[e], K = 64, by Horner's rule."""
    count, degree = shares.shape
    for e in range(out.shape[0]):
        for i in range(degree):
            out[e, i] = uint64(0)
        for source in range(min(degree * (e + 1), count) - 1, degree * e - 1, -1):
            top = out[e, degree - 1]
            for i in range(degree - 1, 0, -1):
                out[e, i] = out[e, i - 1] + shares[source, i]
            out[e, 0] = shares[source, 0]
            if degree > 1:
                out[e, 0] -= top
                out[e, 1] -= top


@njit([void(Elements128, Elements128)], nogil=True, cache=True)
def pack_128(shares: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Write sum_c xi^c shares[d e + c] to out[e], K = 128, by Horner's rule."""
    count, degree = shares.shape[0], shares.shape[1]
    for e in range(out.shape[0]):
        for i in range(degree):
            out[e, i, 0] = out[e, i, 1] = uint64(0)
        for source in range(min(degree * (e + 1), count) - 1, degree * e - 1, -1):
            low, high = out[e, degree - 1, 0], out[e, degree - 1, 1]
            for i in range(degree - 1, 0, -1):
                out[e, i, 0], out[e, i, 1] = add_128(
                    out[e, i - 1, 0], out[e, i - 1, 1], shares[source, i, 0], shares[source, i, 1]
                )
            out[e, 0, 0], out[e, 0, 1] = shares[source, 0, 0], shares[source, 0, 1]
            if degree > 1:
                for i in range(2):
                    out[e, i, 0], out[e, i, 1] = sub_128(out[e, i, 0], out[e, i, 1], low, high)
