"""Fast twin of `tfhe.polynomials`: masks times key shares mod X^N + 1, by `kernels.fft`.

The values of a key's polynomials are computed once and serve thousands of masks; a mask's values
serve all d coefficients of the shares, and products are summed before they are joined.

Security: no running time and no memory address depends on a share. Transformed shares are secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.kernels import fft

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TransformedKey", "add_negacyclic_sum", "negacyclic_sum", "transform_key"]

CACHE_LINE = 64
DIGIT_BITS = 16


@dataclass(frozen=True, slots=True)
class TransformedKey:
    """Shares of key polynomials as `kernels.fft` multiplies by them.

    Attributes:
        values: their values at the roots, divided by N/2.
        polynomials: k.
        size: N.
        degree: d.
        word_bits: 64 or 128.
    """

    values: NDArray[np.float64]
    polynomials: int
    size: int
    degree: int
    word_bits: int

    def __repr__(self) -> str:
        """Show no share."""
        return f"TransformedKey({self.polynomials}, {self.size}, {self.degree}, {self.word_bits})"


def transform_key(key: NDArray[np.uint64], word_bits: int) -> TransformedKey:
    """Transform key shares.

    Args:
        key: shares of the polynomials S_j, shape (k, N, d), or (k, N, d, 2); N is a power of two
            from 2 to 4096.
        word_bits: 64 or 128.

    Raises:
        ValueError: for another N.
    """
    polynomials, size, degree = key.shape[:3]
    if size.bit_count() != 1 or not 2 <= size <= fft.LARGEST:  # noqa: PLR2004
        raise ValueError("no transform of this size")
    half, lanes = size // 2, _lanes(word_bits)
    width, span = word_bits // 64, size * len(lanes)
    words = np.require(key, requirements=["C", "W"]).reshape(-1)
    values, table = _aligned(polynomials * degree * span), fft.roots(size)
    for at in range(polynomials * degree):
        polynomial, c = divmod(at, degree)
        first = (polynomial * size * degree + c) * width
        fft.transform(words, first, degree * width, values, at * span, half, table, lanes)
    values /= half
    return TransformedKey(values, polynomials, size, degree, word_bits)


def add_negacyclic_sum(
    masks: NDArray[np.uint64], key: TransformedKey, total: NDArray[np.uint64]
) -> None:
    """Add sum_j a_j(X) S_j(X) mod X^N + 1 to every row of `total`, in place.

    Args:
        masks: public polynomials a_j, shape (rows, k, N), or (rows, k, N, 2).
        key: the transformed S_j.
        total: shares, shape (rows, N, d), or (rows, N, d, 2), C-contiguous.
    """
    rows, width = len(masks), key.word_bits // 64
    if masks.size != rows * key.polynomials * key.size * width:
        raise ValueError("masks of another shape than the key's")
    if total.size != rows * key.size * key.degree * width or not total.flags.c_contiguous:
        raise ValueError("a total of another shape than the products'")
    lanes = _lanes(key.word_bits)
    fft.add_products(
        np.require(masks, requirements=["C", "W"]).reshape(-1),
        key.values,
        fft.roots(key.size),
        total.reshape(-1),
        (rows, key.polynomials, fft.products_at_once(key.size), key.size // 2, key.degree),
        _aligned((key.degree + 1) * key.size * len(lanes)),
        lanes,
    )


def negacyclic_sum(
    masks: NDArray[np.uint64], key: NDArray[np.uint64], word_bits: int
) -> NDArray[np.uint64]:
    """Return sum_j a_j(X) S_j(X) mod X^N + 1 for every row (see `tfhe.polynomials`)."""
    total = np.zeros((len(masks), *key.shape[1:]), dtype=np.uint64)
    add_negacyclic_sum(masks, transform_key(key, word_bits), total)
    return total


def _lanes(word_bits: int) -> tuple[float, ...]:
    return (0.0,) * (word_bits // DIGIT_BITS)


def _aligned(count: int) -> NDArray[np.float64]:
    """Return doubles that begin at a cache line: vectors across two lines are slow."""
    room = np.empty(count * 8 + CACHE_LINE, dtype=np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    return room[start : start + count * 8].view(np.float64)
