"""Kernels of `mpc_core.preprocessing.bits` that read v as it is encoded, and make bits of it.

The even root of r^2 + r = v and the inverse of 2r + 1 are found together by Newton's iteration,
the same steps for every v: up to 32 bits in 32-bit lanes, then one step to 64 bits, then, for
K = 128, one to 128 bits. r and -1 - r are the two roots, so 1/(-1 - 2r) is minus that inverse.

v is read in strips. All addresses are integers.

Security: v is public; no branch and no address depends on a share.
"""
# The types of numba and LLVM are not those of Python.
# mypy: disable-error-code="arg-type, assignment, call-arg, no-untyped-call, var-annotated"

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numba import int64, njit, uint32, uint64, void
from numba.misc.special import literally

from mpc_core.kernels.memory import ask_for, keep
from mpc_core.kernels.scalars import load_word, narrow, store_word
from mpc_core.kernels.u128 import from_words, full_product, high, intrinsic, multiply_word, widen
from mpc_core.kernels.vectors import INDEX, load, store, vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["STRIP", "add_strip", "bit_adder", "scan", "strip_memory"]

STRIP = 64
WORD_BITS, WORD_BYTES, BYTE_BITS = 64, 8, 8


@njit([void(uint64[::1], uint64[::1], int64, uint64, uint64)], nogil=True, cache=True)
def _read_strip(
    low: NDArray[np.uint64], upper: NDArray[np.uint64], count: int, address: int, width: int
) -> None:
    """Write the halves of `count` coefficients, and zeros after them."""
    words, byte = uint64(WORD_BYTES), uint64(BYTE_BITS)
    if width > words:
        cut = (words + words - width) * byte
        for at in range(count):
            low[at] = load_word(WORD_BITS, address)
            upper[at] = load_word(WORD_BITS, address + width - words) >> cut
            address += width
    else:
        cut = (words - width) * byte
        for at in range(count):
            low[at] = load_word(WORD_BITS, address) << cut >> cut
            upper[at] = uint64(0)
            address += width
    for at in range(count, STRIP):
        low[at] = upper[at] = uint64(0)


@njit([void(uint64[::1], uint32[:, ::1], uint64[::1], uint64[::1])], nogil=True, cache=True)
def _find_roots(
    v: NDArray[np.uint64],
    lanes: NDArray[np.uint32],
    roots: NDArray[np.uint64],
    inverses: NDArray[np.uint64],
) -> None:
    """Write even roots r of r^2 + r = v, and inverses of 2r + 1, mod 2^64, for a strip.

    v - v^2 is right to 4 bits for an even v; 3s, with its second bit turned, is the inverse of an
    odd s to 5 bits. Every step doubles both.
    """
    one, two = uint32(1), uint32(2)
    half_roots, half_inverses = lanes[0], lanes[1]
    for at in range(STRIP):
        value = uint32(v[at])
        root = uint32(value - uint32(value * value))
        inverse = uint32(uint32(uint32(3) * uint32(root + root + one)) ^ two)
        for _ in range(3):
            miss = uint32(uint32(root * root) + root - value)
            root = uint32(root - uint32(miss * inverse))
            slope = uint32(root + root + one)
            inverse = uint32(inverse * uint32(two - uint32(slope * inverse)))
        half_roots[at], half_inverses[at] = root, inverse
    for at in range(STRIP):
        root, inverse = uint64(half_roots[at]), uint64(half_inverses[at])
        root -= (root * root + root - v[at]) * inverse
        slope = root + root + uint64(1)
        roots[at], inverses[at] = root, inverse * (uint64(2) - slope * inverse)


@njit(nogil=True)
def add_strip(degree, bits, x, count, weight, v, width, out, seen, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, PLR0917
    """Do what `bit_adder` says for at most `STRIP` bits, in memory from `strip_memory`.

    The degree and K have to be known when the kernel compiles.
    """
    literally(degree)
    literally(bits)
    low, upper, roots, inverses, lanes = work
    _read_strip(low, upper, count, v, width)
    _find_roots(low, lanes, roots, inverses)
    step = uint64(bits >> 3)
    zero = some_low = some_upper = uint64(0)
    for at in range(count):
        some_low |= low[at]
        some_upper |= upper[at]
        near, inverse = roots[at], inverses[at]
        miss = full_product(near, near) + widen(near) - from_words(low[at], upper[at])
        root = from_words(near, zero - high(miss) * inverse)
        slope = (root << uint64(1)) + widen(uint64(1))
        rest = high(multiply_word(slope, inverse))
        negated = from_words(zero, inverse * rest) - widen(inverse)
        factor = narrow(bits, negated) << weight
        share = (load_word(bits, x) - narrow(bits, root)) * factor
        store_word(out, load_word(bits, out) + share)
        for _ in range(degree - 1):
            x += step
            out += step
            store_word(out, load_word(bits, out) + load_word(bits, x) * factor)
        x += step
        out += step
    seen[0] |= some_low
    seen[1] |= some_upper


@njit(nogil=True)
def strip_memory():  # type: ignore[no-untyped-def]  # noqa: ANN201
    """Return memory for `add_strip`."""
    return (
        np.empty(STRIP, np.uint64),
        np.empty(STRIP, np.uint64),
        np.empty(STRIP, np.uint64),
        np.empty(STRIP, np.uint64),
        np.empty((2, STRIP), np.uint32),
    )


@cache
def bit_adder(degree: int, bits: int) -> Callable[..., None]:
    """Return `add(x, count, weight, v, width, out, seen)`: it adds 2^weight (x - r)/(-1 - 2r).

    x: address of the shares of x, elements.
    count: how many.
    weight: i; v is known mod 2^(K - i).
    v: address of the coefficients, `width` bytes each; up to 8 bytes after them are read.
    out: address of the elements that the shares of 2^i b are added to.
    seen: the halves of all v are added to it bit by bit (or), shape (2,).
    """
    size = degree * bits // BYTE_BITS

    @njit(
        [void(uint64, int64, uint64, uint64, uint64, uint64, uint64[::1])],
        nogil=True,
        cache=True,
    )
    def add(  # noqa: PLR0917 kernels take no names
        x: int,
        count: int,
        weight: int,
        v: int,
        width: int,
        out: int,
        seen: NDArray[np.uint64],
    ) -> None:
        work = strip_memory()
        for start in range(0, count, STRIP):
            strip = min(count - start, STRIP)
            add_strip(degree, bits, x, strip, weight, v, width, out, seen, work)
            x += uint64(strip * size)
            out += uint64(strip * size)
            v += uint64(strip) * width

    return add


@intrinsic
def _join(typing_context, target, source):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    """Add the `STRIP` bytes at an address bit by bit (or) to those at another."""
    kind = vector(INDEX, STRIP // WORD_BYTES)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        target, source = arguments
        ask_for(builder, source)
        joined = builder.or_(load(builder, target, 0, kind), load(builder, source, 0, kind))
        store(builder, joined, target, 0)
        return context.get_dummy_value()

    return void(uint64, uint64), generate


@njit(nogil=True)
def _scan_each(v, count, width, seen):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Do what `scan` says, one coefficient after the other."""
    words, byte = uint64(WORD_BYTES), uint64(BYTE_BITS)
    low = upper = uint64(0)
    if width > words:
        for _ in range(count):
            low |= load_word(WORD_BITS, v)
            upper |= load_word(WORD_BITS, v + width - words)
            v += width
        upper >>= (words + words - width) * byte
    else:
        for _ in range(count):
            low |= load_word(WORD_BITS, v)
            v += width
        cut = (words - width) * byte
        low = low << cut >> cut
    seen[0] |= low
    seen[1] |= upper


@njit([void(uint64, int64, uint64, uint64[::1])], nogil=True, cache=True)
def scan(v: np.uint64, count: int, width: np.uint64, seen: NDArray[np.uint64]) -> None:
    """Add the halves of coefficients to `seen` bit by bit (or); arguments as in `bit_adder`.

    Coefficients a strip apart begin at the same byte of a vector, so strips are joined first.
    """
    strip = uint64(STRIP)
    joined = np.zeros(STRIP * (2 * WORD_BYTES) + 2 * WORD_BYTES, np.uint8)
    joined_at = uint64(joined.ctypes.data)
    for _ in range(count // STRIP):
        for at in range(width):
            _join(joined_at + at * strip, v + at * strip)
        v += width * strip
    _scan_each(joined_at, STRIP, width, seen)
    _scan_each(v, count % STRIP, width, seen)
    keep(joined)
