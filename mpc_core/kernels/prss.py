"""Kernels of `mpc_core.sharing.prss`: sums over many key streams times small constants.

Words are taken as 32-bit limbs, centred around zero: the streams come with the top bit of every
limb flipped, which takes 2^31 off it. `buffer_adder` sums streams that lie in memory, in double
precision, which is exact as long as sums stay below 2^53 (`ring.points` asserts it) and which
every CPU does in vectors. `prss_fused` sums streams as it enciphers them. Both leave *totals*, one
64-bit integer for each 32 bits of a word, and `settler` makes words of them.

Security: no branch and no address depends on a stream, and the doubles are whole numbers far from
    the ranges in which arithmetic slows down.
"""
# The types of numba and LLVM are not those of Python.
# mypy: disable-error-code="arg-type, assignment, call-arg, no-untyped-call, var-annotated"

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from llvmlite import ir
from numba import float64, int64, njit, types, uint8, uint64, void
from numba.core import cgutils
from numba.extending import intrinsic

from mpc_core.kernels.scalars import load_word, store_word
from mpc_core.kernels.u128 import from_words, widen_signed
from mpc_core.kernels.vectors import INDEX, WIDE, call_function, load, splat, store, vector

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BLOCK_BYTES", "GROUP_BLOCKS", "buffer_adder", "settler", "whole"]

BLOCK_BYTES, NATIVE_BITS = 16, 64
GROUP_BLOCKS = 2
"""Blocks of every stream that are summed at a time: their sums stay in registers."""

LIMBS = 4
"""32-bit limbs of a block."""

DOUBLE = ir.DoubleType()
LIMB_VECTOR, SUM_VECTOR = vector(WIDE, LIMBS), vector(DOUBLE, LIMBS)
SUM_BYTES = 8 * LIMBS


@intrinsic(prefer_literal=True)
def _add_group(typing_context, degree, sums, streams, stride, factors, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001, PLR0917
    """Add the streams times their constants to the sums of a group, all given by addresses."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        _, sums_at, streams_at, step, factors_at, number = arguments
        places = [(c, block) for c in range(coordinates) for block in range(GROUP_BLOCKS)]
        totals = [cgutils.alloca_once(builder, SUM_VECTOR) for _ in places]
        for at, total in enumerate(totals):
            builder.store(load(builder, sums_at, at * SUM_BYTES, SUM_VECTOR), total)
        with cgutils.for_range(builder, number) as loop:
            stream = builder.add(streams_at, builder.mul(loop.index, step))
            blocks = [
                builder.sitofp(load(builder, stream, block * BLOCK_BYTES, LIMB_VECTOR), SUM_VECTOR)
                for block in range(GROUP_BLOCKS)
            ]
            offset = builder.mul(loop.index, ir.Constant(INDEX, 8 * coordinates))
            constants_at = builder.add(factors_at, offset)
            factors_of = [
                splat(builder, load(builder, constants_at, 8 * c, DOUBLE), LIMBS)
                for c in range(coordinates)
            ]
            for total, (c, block) in zip(totals, places, strict=True):
                terms = [factors_of[c], blocks[block], builder.load(total, typ=SUM_VECTOR)]
                fused = call_function(builder, "llvm.fmuladd.v4f64", SUM_VECTOR, terms)
                builder.store(fused, total)
        for at, total in enumerate(totals):
            store(builder, builder.load(total, typ=SUM_VECTOR), sums_at, at * SUM_BYTES)
        return context.get_dummy_value()

    coordinates = degree.literal_value
    word = types.uint64
    return types.void(degree, word, word, word, word, word), generate


@cache
def buffer_adder(degree: int) -> Callable[..., None]:
    """Return `add(sums, streams, factors)`: it adds streams in memory to the sums of groups.

    sums: doubles, shape (groups, d * `GROUP_BLOCKS` * `LIMBS`).
    streams: centred limbs, shape (streams, bytes).
    factors: the constants of the streams, doubles, shape (streams, d).
    """

    @njit([void(float64[:, ::1], uint8[:, ::1], float64[:, ::1])], nogil=True, cache=True)
    def add(
        sums: NDArray[np.float64], streams: NDArray[np.uint8], factors: NDArray[np.float64]
    ) -> None:
        count, stride = uint64(factors.shape[0]), uint64(streams.shape[1])
        place, factors_at = uint64(streams.ctypes.data), uint64(factors.ctypes.data)
        for group in range(sums.shape[0]):
            sums_at = uint64(sums[group].ctypes.data)
            _add_group(degree, sums_at, place, stride, factors_at, count)
            place += uint64(GROUP_BLOCKS * BLOCK_BYTES)

    return add


@njit([void(float64[:, ::1], int64[:, ::1])], nogil=True, cache=True)
def whole(sums: NDArray[np.float64], totals: NDArray[np.int64]) -> None:
    """Write sums as integers."""
    for group in range(sums.shape[0]):
        row, out = sums[group], totals[group]
        for at in range(row.size):
            out[at] = int64(row[at])


@cache
def settler(degree: int, bits: int, *, fused: bool) -> Callable[..., None]:
    """Return `settle(totals, offsets, first, count, out)`.

    It writes `count` words that the totals of groups stand for, from number `first` on, to the
    address `out`, all coordinates of a word in turn. The word that is added to each coordinate
    stands at the address `offsets`. `fused` totals are those of `prss_fused`.
    """
    registers, lanes, block_step, half_step = (2, 4, 2, 8) if fused else (1, GROUP_BLOCKS, 4, 2)
    coordinate_step, register_step = 4 * lanes, 4 * lanes * degree
    blocks, halves, word_bytes = registers * lanes, 128 // bits, bits // 8

    @njit([void(int64[:, ::1], uint64, int64, int64, uint64)], nogil=True, cache=True)
    def settle(totals: NDArray[np.int64], offsets: int, first: int, count: int, out: int) -> None:
        half = uint64(32)
        for word in range(first, first + count):
            block = word // halves
            row = totals[block // blocks]
            at = block % blocks // lanes * register_step + block % lanes * block_step
            at += word % halves * half_step
            for c in range(degree):
                below, above = row[at], row[at + 1]
                offset = load_word(bits, offsets + uint64(c * word_bytes))
                if bits == NATIVE_BITS:
                    value = uint64(below) + (uint64(above) << half)
                else:
                    top = uint64(row[at + half_step])
                    top += uint64(row[at + half_step + 1]) << half
                    lower = widen_signed(below) + (widen_signed(above) << half)
                    value = lower + from_words(uint64(0), top)
                store_word(out, value + offset)
                out += uint64(word_bytes)
                at += coordinate_step

    return settle
