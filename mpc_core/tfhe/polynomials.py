"""Public polynomials times shared ones, mod X^N + 1: the plain form of `kernels.negacyclic`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mpc_core.tfhe import words

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["negacyclic_sum"]


def negacyclic_sum(
    masks: NDArray[np.uint64], key: NDArray[np.uint64], word_bits: int
) -> NDArray[np.uint64]:
    """Return sum_j a_j(X) S_j(X) mod X^N + 1 for every row of masks.

    Args:
        masks: public polynomials a_j, shape (rows, k, N), or (rows, k, N, 2) for 128 bits.
        key: shares of the polynomials S_j, shape (k, N, d), or (k, N, d, 2).
        word_bits: 64 or 128.

    Returns:
        Shares, shape (rows, N, d), or (rows, N, d, 2).

    Security: Z_2^K-linear in the shares with public coefficients, so local; it reveals nothing.

    Source: PROTOCOL.md, "Assembly".
    """
    rows, polynomials, size = masks.shape[:3]
    total = np.zeros((rows, *key.shape[1:]), dtype=np.uint64)
    for polynomial in range(polynomials):
        rotated = key[polynomial]
        for power in range(size):
            factor = masks[:, polynomial, power]
            total = words.add(total, _scale(factor, rotated, word_bits), word_bits)
            wrapped = words.negate(rotated[-1:], word_bits)
            rotated = np.concatenate((wrapped, rotated[:-1]))
    return total


def _scale(
    factor: NDArray[np.uint64], share: NDArray[np.uint64], word_bits: int
) -> NDArray[np.uint64]:
    """Return factor[row] * share[...] for every row, by Python integers for 128 bits."""
    if word_bits == 64:  # noqa: PLR2004
        return np.multiply.outer(factor, share)
    modulus = 1 << word_bits
    product = np.multiply.outer(_integers(factor), _integers(share)) % modulus
    low = (product & (1 << 64) - 1).astype(np.uint64)
    return np.stack((low, (product >> 64).astype(np.uint64)), axis=-1)


def _integers(values: NDArray[np.uint64]) -> NDArray[np.object_]:
    wide = values.astype(object)
    return np.asarray(wide[..., 0] + (wide[..., 1] << 64), dtype=object)
