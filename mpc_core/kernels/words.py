"""128-bit words in kernels: pairs of 64-bit words, low word first, every operation mod 2^128.

The scalar helpers are inlined into the kernels that call them. No branch or index depends on a
value. The on-disk cache of a kernel does not see changes of the helpers here: the cache directory
has to change with the sources of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from llvmlite import ir
from numba import njit, types, uint64, void
from numba.extending import intrinsic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Word = np.uint64

__all__ = ["add_128", "add_arrays", "multiply_128", "sub_128", "sub_arrays"]

Pairs = uint64[:, ::1]


@intrinsic
def _full_product(typing_context, a, b):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
    """Return the product of two 64-bit words as (low, high)."""
    signature = types.UniTuple(types.uint64, 2)(types.uint64, types.uint64)  # type: ignore[no-untyped-call]
    word, wide = ir.IntType(64), ir.IntType(128)  # type: ignore[no-untyped-call]

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        left, right = (builder.zext(argument, wide) for argument in arguments)
        product = builder.mul(left, right)
        low = builder.trunc(product, word)
        shift = ir.Constant(wide, 64)  # type: ignore[no-untyped-call]
        high = builder.trunc(builder.lshr(product, shift), word)
        return context.make_tuple(builder, signature.return_type, (low, high))

    return signature, generate


@njit(nogil=True)
def add_128(a: Word, a_high: Word, b: Word, b_high: Word) -> tuple[Word, Word]:
    """Return a + b as (low, high)."""
    low = a + b
    return low, a_high + b_high + np.uint64(low < a)


@njit(nogil=True)
def sub_128(a: Word, a_high: Word, b: Word, b_high: Word) -> tuple[Word, Word]:
    """Return a - b as (low, high)."""
    return a - b, a_high - b_high - np.uint64(a < b)


@njit(nogil=True)
def multiply_128(a: Word, a_high: Word, b: Word, b_high: Word) -> tuple[Word, Word]:
    """Return a * b as (low, high)."""
    low, high = _full_product(a, b)  # type: ignore[call-arg, var-annotated]
    return low, high + a * b_high + a_high * b


@njit([void(Pairs, Pairs, Pairs)], nogil=True, cache=True)
def add_arrays(a: NDArray[np.uint64], b: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Write a + b to `out`, all of shape (m, 2)."""
    for k in range(a.shape[0]):
        out[k, 0], out[k, 1] = add_128(a[k, 0], a[k, 1], b[k, 0], b[k, 1])


@njit([void(Pairs, Pairs, Pairs)], nogil=True, cache=True)
def sub_arrays(a: NDArray[np.uint64], b: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Write a - b to `out`, all of shape (m, 2)."""
    for k in range(a.shape[0]):
        out[k, 0], out[k, 1] = sub_128(a[k, 0], a[k, 1], b[k, 0], b[k, 1])
