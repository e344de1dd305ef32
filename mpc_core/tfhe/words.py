"""Arithmetic mod 2^64 and 2^128 on arrays of words.

A word of 64 bits is one number, a word of 128 bits a last axis of two, low word first. The second
argument of every function says which, since shapes alone cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["add", "negate", "reduce_to_64", "shift_left", "subtract"]

_WORD = 64


def add(left: NDArray[np.uint64], right: NDArray[np.uint64], word_bits: int) -> NDArray[np.uint64]:
    """Return left + right."""
    total = left + right
    if word_bits > _WORD:
        total[..., 1] += total[..., 0] < left[..., 0]
    return total


def negate(values: NDArray[np.uint64], word_bits: int) -> NDArray[np.uint64]:
    """Return -values."""
    negative = ~values
    if word_bits > _WORD:
        negative[..., 0] += np.uint64(1)
        negative[..., 1] += negative[..., 0] == 0
        return negative
    return negative + np.uint64(1)


def subtract(
    left: NDArray[np.uint64], right: NDArray[np.uint64], word_bits: int
) -> NDArray[np.uint64]:
    """Return left - right."""
    return add(left, negate(right, word_bits), word_bits)


def shift_left(values: NDArray[np.uint64], count: int, word_bits: int) -> NDArray[np.uint64]:
    """Return values * 2^count, 0 <= count < word_bits."""
    assert 0 <= count < word_bits
    if word_bits == _WORD:
        return values << np.uint64(count)
    low, high = values[..., 0], values[..., 1]
    shifted = np.empty_like(values)
    if count >= _WORD:
        shifted[..., 0] = 0
        shifted[..., 1] = low << np.uint64(count - _WORD)
        return shifted
    shifted[..., 0] = low << np.uint64(count)
    shifted[..., 1] = high << np.uint64(count)
    if count:
        shifted[..., 1] |= low >> np.uint64(_WORD - count)
    return shifted


def reduce_to_64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Reduce words mod 2^128 to words mod 2^64, coefficient by coefficient.

    Security: must precede any linear map of a 64-bit object. A 64-bit body opened mod 2^128 would
        publish <a, s> + e over the integers, and with it the key.

    Source: PROTOCOL.md, "Rings and sharings".
    """
    return np.ascontiguousarray(values[..., 0])
