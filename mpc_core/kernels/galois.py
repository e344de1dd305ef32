"""Kernels of `mpc_core.ring.galois`: the ring operations that are more than one NumPy expression.

For K = 64 arrays of elements have shape (count, d), for K = 128 (count, d, 2), low word first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, uint64, void

from mpc_core.kernels.words import add_128, multiply_128, sub_128

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["multiply_add_64", "multiply_add_128", "scale_128"]

Elements64 = uint64[:, ::1]
Elements128 = uint64[:, :, ::1]
Words128 = uint64[:, ::1]


@njit([void(Elements64, Elements64, Elements64)], nogil=True, cache=True)
def multiply_add_64(a: NDArray[np.uint64], b: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Add a * b to `out`; a single element `b` serves every element of `a`."""
    count, degree = a.shape
    step = 0 if b.shape[0] == 1 else 1
    product = np.empty(2 * degree - 1, np.uint64)
    for e in range(count):
        product[:] = uint64(0)
        for i in range(degree):
            for j in range(degree):
                product[i + j] += a[e, i] * b[e * step, j]
        for k in range(2 * degree - 2, degree - 1, -1):
            product[k - degree] -= product[k]
            product[k - degree + 1] -= product[k]
        for i in range(degree):
            out[e, i] += product[i]


@njit([void(Elements128, Elements128, Elements128)], nogil=True, cache=True)
def multiply_add_128(a: NDArray[np.uint64], b: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Add a * b to `out`; a single element `b` serves every element of `a`."""
    count, degree = a.shape[0], a.shape[1]
    step = 0 if b.shape[0] == 1 else 1
    product = np.empty((2 * degree - 1, 2), np.uint64)
    for e in range(count):
        product[:] = uint64(0)
        for i in range(degree):
            low, high = a[e, i, 0], a[e, i, 1]
            for j in range(degree):
                x, y = multiply_128(low, high, b[e * step, j, 0], b[e * step, j, 1])
                p = product[i + j]
                p[0], p[1] = add_128(p[0], p[1], x, y)
        for k in range(2 * degree - 2, degree - 1, -1):
            top = product[k]
            for target in (k - degree, k - degree + 1):
                p = product[target]
                p[0], p[1] = sub_128(p[0], p[1], top[0], top[1])
        for i in range(degree):
            p = product[i]
            out[e, i, 0], out[e, i, 1] = add_128(out[e, i, 0], out[e, i, 1], p[0], p[1])


@njit([void(Elements128, Words128, Elements128)], nogil=True, cache=True)
def scale_128(a: NDArray[np.uint64], words: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Write every element of `a` times the word at its position to `out`."""
    for e in range(a.shape[0]):
        for i in range(a.shape[1]):
            out[e, i, 0], out[e, i, 1] = multiply_128(
                a[e, i, 0], a[e, i, 1], words[e, 0], words[e, 1]
            )
