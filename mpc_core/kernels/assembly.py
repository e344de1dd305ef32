"""Kernels of `tfhe.assembly`: one pass over a row where NumPy would take several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import njit, types, uint64, void

from mpc_core.kernels.u128 import from_words, high, low

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["subtract_shifted_64", "subtract_shifted_128"]

Stored64 = types.Array(uint64, 1, "C", readonly=True)
Stored128 = types.Array(uint64, 2, "C", readonly=True)


@njit([void(uint64[::1], Stored64, uint64)], nogil=True, cache=True)
def subtract_shifted_64(total: NDArray[np.uint64], values: NDArray[np.uint64], shift: int) -> None:
    """Subtract values * 2^shift from `total`, in place; both of shape (count,)."""
    for at in range(total.shape[0]):
        total[at] -= values[at] << shift


@njit([void(uint64[:, ::1], Stored128, uint64)], nogil=True, cache=True)
def subtract_shifted_128(total: NDArray[np.uint64], values: NDArray[np.uint64], shift: int) -> None:
    """Subtract values * 2^shift from `total`, in place; both of shape (count, 2)."""
    for at in range(total.shape[0]):
        term = from_words(values[at, 0], values[at, 1]) << shift
        left = from_words(total[at, 0], total[at, 1]) - term
        total[at, 0], total[at, 1] = low(left), high(left)
