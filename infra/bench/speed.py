"""Loops that do little but multiply: what the arithmetic of one core can do at best.

They run over data in the first cache, from another place in every pass, so that no pass can be
left out. Importing this module compiles them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import float64, int16, int32, int64, njit, uint64, void

from mpc_core.kernels.u128 import full_product, high, low, widen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "DEGREE",
    "PLACES",
    "polynomials",
    "products_of_shorts",
    "sum_of_words",
    "whole_products",
]

PLACES = 8
"""Arrays have so many numbers more than a pass uses."""

DEGREE = 16
"""Multiply-adds of a number in `polynomials`: numbers are read and written more slowly."""


@njit([void(float64[::1], float64[::1], float64, int64)], nogil=True, fastmath={"contract"})
def polynomials(
    numbers: NDArray[np.float64], values: NDArray[np.float64], start: float, passes: int
) -> None:
    """Write the values of a polynomial of degree `DEGREE` at all numbers."""
    for at in range(passes):
        shift = uint64(at % PLACES)
        for k in range(uint64(values.size)):
            x = numbers[shift + k]
            value = start
            for _ in range(DEGREE):
                value = value * x + 0.5
            values[k] = value


@njit([int32(int16[::1], int16[::1], int64)], nogil=True)
def products_of_shorts(numbers: NDArray[np.int16], factors: NDArray[np.int16], passes: int) -> int:
    """Return the sum of all products mod 2^32."""
    total = int32(0)
    for at in range(passes):
        shift = uint64(at % PLACES)
        for k in range(uint64(factors.size)):
            total = int32(total + int32(numbers[shift + k]) * int32(factors[k]))
    return int(total)


@njit([uint64(uint64[::1], uint64[::1], int64)], nogil=True)
def whole_products(a: NDArray[np.uint64], b: NDArray[np.uint64], passes: int) -> int:
    """Return the sum of all whole products of words mod 2^128, its halves added mod 2^64."""
    even, odd = widen(uint64(0)), widen(uint64(0))
    for at in range(passes):
        shift = uint64(at % PLACES)
        for half in range(uint64(b.size // 2)):
            k = uint64(2) * half
            even = even + full_product(a[shift + k], b[k])
            odd = odd + full_product(a[shift + k + uint64(1)], b[k + uint64(1)])
    total = even + odd
    return int(low(total) + high(total))


@njit([uint64(uint64[::1], int64, int64)], nogil=True)
def sum_of_words(numbers: NDArray[np.uint64], count: int, passes: int) -> int:
    """Return the sum mod 2^64 of `count` numbers from every place on."""
    total = uint64(0)
    for at in range(passes):
        shift = uint64(at % PLACES)
        for k in range(uint64(count)):
            total += numbers[shift + k]
    return int(total)
