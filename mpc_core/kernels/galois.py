"""Kernels of `mpc_core.ring.galois`: the ring operations that are more than one NumPy expression.

For K = 64 arrays of elements have shape (count, d), for K = 128 (count, d, 2), low word first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, void
from numba import uint64 as uint64_type
from numpy import uint64

from mpc_core.kernels import u128

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["multiply_add_64", "multiply_add_128", "scale_128"]

Elements64 = uint64_type[:, ::1]
Elements128 = uint64_type[:, :, ::1]
Words128 = uint64_type[:, ::1]

WORD_BYTES = 16


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


@njit(nogil=True)
def _word(element, c):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return u128.load(element + uint64(WORD_BYTES) * uint64(c))


@njit(nogil=True)
def _add_to(element, c, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    place = element + uint64(WORD_BYTES) * uint64(c)
    u128.store(place, u128.load(place) + value)


@njit(nogil=True)
def _add_product_three(left, right, target):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    a0, a1, a2 = _word(left, 0), _word(left, 1), _word(left, 2)
    b0, b1, b2 = _word(right, 0), _word(right, 1), _word(right, 2)
    c3 = a1 * b2 + a2 * b1  # X^3 = -X - 1
    c4 = a2 * b2
    _add_to(target, 0, a0 * b0 - c3)
    _add_to(target, 1, a0 * b1 + a1 * b0 - c3 - c4)
    _add_to(target, 2, a0 * b2 + a1 * b1 + a2 * b0 - c4)


@njit(nogil=True)
def _add_product_four(left, right, target):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    a0, a1, a2, a3 = _word(left, 0), _word(left, 1), _word(left, 2), _word(left, 3)
    b0, b1, b2, b3 = _word(right, 0), _word(right, 1), _word(right, 2), _word(right, 3)
    c4 = a1 * b3 + a2 * b2 + a3 * b1  # X^4 = -X - 1
    c5 = a2 * b3 + a3 * b2
    c6 = a3 * b3
    _add_to(target, 0, a0 * b0 - c4)
    _add_to(target, 1, a0 * b1 + a1 * b0 - c4 - c5)
    _add_to(target, 2, a0 * b2 + a1 * b1 + a2 * b0 - c5 - c6)
    _add_to(target, 3, a0 * b3 + a1 * b2 + a2 * b1 + a3 * b0 - c6)


@njit([void(Elements128, Elements128, Elements128)], nogil=True, cache=True)
def multiply_add_128(a: NDArray[np.uint64], b: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Add a * b to `out`; a single element `b` serves every element of `a`."""
    count, degree = uint64(a.shape[0]), uint64(a.shape[1])
    size = degree * uint64(WORD_BYTES)
    step = uint64(0) if b.shape[0] == 1 else size
    left, right, target = uint64(a.ctypes.data), uint64(b.ctypes.data), uint64(out.ctypes.data)
    for _ in range(count):
        if degree == uint64(1):
            u128.store(target, u128.load(target) + u128.load(left) * u128.load(right))
        elif degree == uint64(3):
            _add_product_three(left, right, target)
        else:
            _add_product_four(left, right, target)
        left += size
        right += step
        target += size


@njit([void(Elements128, Words128, Elements128)], nogil=True, cache=True)
def scale_128(a: NDArray[np.uint64], words: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Write every element of `a` times the word at its position to `out`."""
    source, target = uint64(a.ctypes.data), uint64(out.ctypes.data)
    for e in range(uint64(a.shape[0])):
        word = u128.load(uint64(words.ctypes.data) + e * uint64(WORD_BYTES))
        for _ in range(a.shape[1]):
            u128.store(target, u128.load(source) * word)
            source += uint64(WORD_BYTES)
            target += uint64(WORD_BYTES)
