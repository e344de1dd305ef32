"""Numba twin of `preprocessing.bits.root_and_inverse`: Newton's iteration in the words of a CPU.

From r = v, right to 2 bits, each step r - (r^2 + r - v) / (2r + 1) doubles the right bits; the
inverse of 2r + 1 is refined beside it. Every v takes the same steps. For K = 128 the steps up to 64
bits come first for all v, since only they become vector instructions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from mpc_core.kernels.words import multiply_128, sub_128

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["root_and_inverse"]

NATIVE_BITS = 64


@njit("void(u8[::1], u8[::1], u8[::1])", nogil=True, cache=True)
def _roots_64(v, roots, inverses):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    one, two = np.uint64(1), np.uint64(2)
    for at in range(v.size):
        root = v[at]
        inverse = one - two * root
        for _ in range(5):
            slope = two * root + one
            inverse *= two - slope * inverse
            root -= (root * root + root - v[at]) * inverse
        slope = two * root + one
        roots[at] = root
        inverses[at] = inverse * (slope * inverse - two)


@njit(nogil=True)
def _refined(slope, slope_high, inverse, inverse_high):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    product, product_high = multiply_128(slope, slope_high, inverse, inverse_high)
    rest, rest_high = sub_128(np.uint64(2), np.uint64(0), product, product_high)
    return multiply_128(inverse, inverse_high, rest, rest_high)


@njit("void(u8[:,::1], u8[::1], u8[::1], u8[:,::1], u8[:,::1])", nogil=True, cache=True)
def _roots_128(v, low_roots, low_inverses, roots, inverses):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    zero, one, top = np.uint64(0), np.uint64(1), np.uint64(63)
    for at in range(v.shape[0]):
        root, inverse = low_roots[at], zero - low_inverses[at]
        inverse, inverse_high = _refined((root << one) | one, root >> top, inverse, zero)
        value, value_high = multiply_128(root, zero, root + one, zero)
        value, value_high = sub_128(value, value_high, v[at, 0], v[at, 1])
        step, step_high = multiply_128(value, value_high, inverse, inverse_high)
        root, root_high = sub_128(root, zero, step, step_high)
        slope_high = (root_high << one) | (root >> top)
        inverse, inverse_high = _refined((root << one) | one, slope_high, inverse, inverse_high)
        roots[at, 0], roots[at, 1] = root, root_high
        inverses[at, 0], inverses[at, 1] = sub_128(zero, zero, inverse, inverse_high)


def root_and_inverse(
    v: NDArray[np.uint64], bits: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the even root r of r^2 + r = v and 1/(-1 - 2r), as `bits.root_and_inverse`."""
    v = np.require(v, requirements=["C", "W"])
    roots, inverses = np.empty_like(v), np.empty_like(v)
    if bits == NATIVE_BITS:
        _roots_64(v, roots, inverses)
        return roots, inverses
    low = np.ascontiguousarray(v[:, 0])
    low_roots, low_inverses = np.empty_like(low), np.empty_like(low)
    _roots_64(low, low_roots, low_inverses)
    _roots_128(v, low_roots, low_inverses, roots, inverses)
    return roots, inverses
