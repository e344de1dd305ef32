"""Kernels of `mpc_core.preprocessing.bits`: from shares of x to a share vector, from v to bits.

They work on tiles: shares lie in memory as arrays of elements, share vectors and v as they are
encoded, ceil((K - i)/8) bytes a coefficient for weight i. All addresses are integers.

Security: no branch and no address depends on a share; v is public.
"""
# The types of numba and LLVM are not those of Python.
# mypy: disable-error-code="arg-type, assignment, call-arg, no-untyped-call, var-annotated"

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from numba import int64, njit, uint64, void
from numba.misc.special import literally

from mpc_core.kernels.scalars import bit_and, load_word, store_word, word_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["vector_writer", "write_elements_3"]

SMALL_DEGREE = 3


@njit(nogil=True)
def _square_plus_3(a, b, c):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return x^2 + x for d = 3, where X^3 = -X - 1."""
    one = uint64(1)
    third, fourth = (b * c) << one, c * c
    return (
        a * a - third + a,
        ((a * b) << one) - third - fourth + b,
        ((a * c) << one) + b * b - fourth + c,
    )


@njit(nogil=True)
def _square_plus_4(a, b, c, e):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return x^2 + x for d = 4, where X^4 = -X - 1."""
    one = uint64(1)
    fourth, fifth, sixth = ((b * e) << one) + c * c, (c * e) << one, e * e
    return (
        a * a - fourth + a,
        ((a * b) << one) - fourth - fifth + b,
        ((a * c) << one) + b * b - fifth - sixth + c,
        ((a * e + b * c) << one) - sixth + e,
    )


@njit(nogil=True)
def write_elements_3(bits, x, masks, elements, turns, kept, width, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, PLR0917
    """Do what `vector_writer` says for d = 3; K has to be known when the kernel compiles."""
    literally(bits)
    step = uint64(bits >> 3)
    size = step + step + step
    mask, zero = load_word(bits, kept), word_of(bits, uint64(0))
    for _ in range(elements):
        f0, f1, f2 = zero, zero, zero
        m0, m1, m2 = zero, zero, zero
        for back in range(3):
            at = uint64(2 - back) * size
            x0, m = x + at, masks + at
            s0, s1, s2 = _square_plus_3(
                load_word(bits, x0), load_word(bits, x0 + step), load_word(bits, x0 + step + step)
            )
            f0, f1, f2 = s0 - f2, s1 + f0 - f2, s2 + f1
            w0, w1 = load_word(bits, m), load_word(bits, m + step)
            m0, m1, m2 = w0 - m2, w1 + m0 - m2, load_word(bits, m + step + step) + m1
        for _ in range(turns):
            m0, m1, m2 = zero - m2, m0 - m2, m1
        store_word(out, bit_and(f0 + m0, mask))
        store_word(out + width, bit_and(f1 + m1, mask))
        store_word(out + width + width, bit_and(f2 + m2, mask))
        out += width + width + width
        x, masks = x + size + size + size, masks + size + size + size


@njit(nogil=True)
def _write_elements_4(bits, x, masks, elements, turns, kept, width, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    """Do what `vector_writer` says for d = 4; K has to be known when the kernel compiles."""
    literally(bits)
    step = uint64(bits >> 3)
    twice = step + step
    size, third = twice + twice, twice + step
    mask, zero = load_word(bits, kept), word_of(bits, uint64(0))
    for _ in range(elements):
        f0, f1, f2, f3 = zero, zero, zero, zero
        m0, m1, m2, m3 = zero, zero, zero, zero
        for back in range(4):
            at = uint64(3 - back) * size
            x0, m = x + at, masks + at
            s0, s1, s2, s3 = _square_plus_4(
                load_word(bits, x0),
                load_word(bits, x0 + step),
                load_word(bits, x0 + twice),
                load_word(bits, x0 + third),
            )
            f0, f1, f2, f3 = s0 - f3, s1 + f0 - f3, s2 + f1, s3 + f2
            w0, w1 = load_word(bits, m), load_word(bits, m + step)
            w2, w3 = load_word(bits, m + twice), load_word(bits, m + third)
            m0, m1, m2, m3 = w0 - m3, w1 + m0 - m3, w2 + m1, w3 + m2
        for _ in range(turns):
            m0, m1, m2, m3 = zero - m3, m0 - m3, m1, m2
        store_word(out, bit_and(f0 + m0, mask))
        store_word(out + width, bit_and(f1 + m1, mask))
        store_word(out + width + width, bit_and(f2 + m2, mask))
        store_word(out + width + width + width, bit_and(f3 + m3, mask))
        out += width + width + width + width
        x, masks = x + size * uint64(4), masks + size * uint64(4)


@cache
def vector_writer(degree: int, bits: int) -> Callable[..., None]:
    """Return `write(x, masks, elements, turns, kept, width, out)`.

    It packs the shares of x^2 + x, d of them to an element, adds the masks and encodes.

        x: address of d shares for each element.
        masks: address of the d sums that make the mask of each element (`zero.zero_sums`).
        elements: how many.
        turns: exponent of the point alpha = xi^turns that the masks are multiplied by.
        kept: address of the word with the bits of the ring that elements are opened in.
        width: bytes of a coefficient.
        out: address of the encoding; up to a word after its end is overwritten.
    """

    @njit([void(uint64, uint64, int64, int64, uint64, uint64, uint64)], nogil=True, cache=True)
    def write(  # noqa: PLR0917 kernels take no names
        x: int, masks: int, elements: int, turns: int, kept: int, width: int, out: int
    ) -> None:
        if degree == SMALL_DEGREE:
            write_elements_3(bits, x, masks, elements, turns, kept, width, out)
        else:
            _write_elements_4(bits, x, masks, elements, turns, kept, width, out)

    return write
