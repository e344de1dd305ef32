"""Numba twin of `tfhe.polynomials`: schoolbook products whose inner loop runs over one share row.

A share row holds N coefficients of d words each without gaps, so multiplication by X^i is a shift
by i d words, and one loop serves every degree d. Words of 128 bits are kept in two planes, low and
high, which the compiler turns into vector instructions.

Security: no running time and no memory address depends on a share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["negacyclic_sum"]


@njit("void(u8[:,:,::1], u8[:,::1], u8[:,::1], i8)", nogil=True, cache=True)
def _multiply_64(masks, key, total, degree):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    rows, polynomials, size = masks.shape
    length = size * degree
    for row in range(rows):
        out = total[row]
        for polynomial in range(polynomials):
            share = key[polynomial]
            for power in range(size):
                factor = masks[row, polynomial, power]
                negative = np.uint64(0) - factor
                shift = power * degree
                for at in range(length - shift):
                    out[at + shift] += factor * share[at]
                for at in range(shift):
                    out[at] += negative * share[at + length - shift]


@njit(
    "void(u8[::1], u8[::1], u8[::1], u8[::1], UniTuple(u8, 2))",
    nogil=True,
    cache=True,
    inline="always",
)
def _accumulate_128(low, high, share_low, share_high, factor):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    factor_low, factor_high = factor
    half, half_mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    factor_bottom, factor_top = factor_low & half_mask, factor_low >> half
    for at in range(low.size):
        word = share_low[at]
        bottom, top = word & half_mask, word >> half
        first = bottom * factor_bottom
        second = top * factor_bottom + (first >> half)
        third = bottom * factor_top + (second & half_mask)
        carried = top * factor_top + (second >> half) + (third >> half)
        product = word * factor_low
        before = low[at]
        after = before + product
        low[at] = after
        carry = np.uint64(after < before)
        high[at] += carried + carry + word * factor_high + share_high[at] * factor_low


@njit(
    "void(u8[:,:,:,::1], UniTuple(u8[:,::1], 2), u8[:,::1], u8[:,::1], i8)",
    nogil=True,
    cache=True,
)
def _multiply_128(masks, key, low, high, degree):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    rows, polynomials, size, _ = masks.shape
    length = size * degree
    for row in range(rows):
        for polynomial in range(polynomials):
            share_low, share_high = key[0][polynomial], key[1][polynomial]
            for power in range(size):
                factor_low = masks[row, polynomial, power, 0]
                factor_high = masks[row, polynomial, power, 1]
                shift = power * degree
                _accumulate_128(
                    low[row, shift:],
                    high[row, shift:],
                    share_low[: length - shift],
                    share_high[: length - shift],
                    (factor_low, factor_high),
                )
                negative_low = np.uint64(0) - factor_low
                negative_high = ~factor_high + np.uint64(factor_low == np.uint64(0))
                _accumulate_128(
                    low[row, :shift],
                    high[row, :shift],
                    share_low[length - shift :],
                    share_high[length - shift :],
                    (negative_low, negative_high),
                )


def negacyclic_sum(
    masks: NDArray[np.uint64], key: NDArray[np.uint64], word_bits: int
) -> NDArray[np.uint64]:
    """Return sum_j a_j(X) S_j(X) mod X^N + 1 for every row (see `tfhe.polynomials`)."""
    rows = masks.shape[0]
    polynomials, size, degree = key.shape[:3]
    masks = np.ascontiguousarray(masks)
    if word_bits == 64:  # noqa: PLR2004
        total = np.zeros((rows, size * degree), dtype=np.uint64)
        flat = np.ascontiguousarray(key).reshape(polynomials, size * degree)
        _multiply_64(masks, flat, total, degree)
        return total.reshape(rows, size, degree)
    low, high = np.zeros((2, rows, size * degree), dtype=np.uint64)
    halves = tuple(
        np.ascontiguousarray(key[..., plane]).reshape(polynomials, size * degree)
        for plane in range(2)
    )
    _multiply_128(masks, halves, low, high, degree)
    return np.stack((low, high), axis=-1).reshape(rows, size, degree, 2)
