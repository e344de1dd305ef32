"""Kernels of `mpc_core.sharing.prss` where the CPU has AES: streams that no memory sees.

Words are taken as 16-bit limbs, centred around zero: the last round key of every stream flips the
top bit of every limb, which takes 2^15 off it. Two streams at a time are interleaved limb by limb
and multiplied with a pair of constants each. Such sums stay within 32 bits for all streams of a
*run* (`ring.points` asserts it); then neighbouring limbs are brought together in 64 bits.

Totals of one *group* of blocks, in the order of their places: register of blocks; coordinate;
first or second half of a block; block; two pairs of limbs.
"""
# The types of numba and LLVM are not those of Python.
# mypy: disable-error-code="arg-type, assignment, call-arg, no-untyped-call, var-annotated"

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numba import int64, njit, types, uint64, void
from numba.core import cgutils
from numba.extending import intrinsic

from mpc_core.kernels.aes import SCHEDULE_BYTES, counters, keystream
from mpc_core.kernels.instructions import AES_BLOCKS, REGISTER_BITS, multiply_pairs
from mpc_core.kernels.memory import keep
from mpc_core.kernels.vectors import LIMB, WIDE, constant, load, shuffle, splat, store, vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mpc_core.kernels.vectors import Builder, Value

__all__ = ["GROUP_BLOCKS", "stream_adder"]

REGISTERS = 2
"""Registers of blocks that are summed at a time: as many as leave room for their sums."""

GROUP_BLOCKS = REGISTERS * AES_BLOCKS

LIMBS = 8
"""16-bit limbs of a block."""


SUMS, LIMB_PAIRS = vector(WIDE, REGISTER_BITS // 32), vector(LIMB, REGISTER_BITS // 16)


class _Sums:
    """The 32-bit sums of a group, in registers while pairs of streams are added to them."""

    def __init__(self, builder: Builder, degree: int) -> None:
        self.builder, self.degree = builder, degree
        self.places = []
        for _ in range(REGISTERS * degree * 2):
            place = cgutils.alloca_once(builder, SUMS)
            builder.store(constant(SUMS, 0), place)
            self.places.append(place)

    def factors(self, address: Value) -> list[Value]:
        """Return the constants of a pair of streams, a register for each coordinate."""
        found = []
        for c in range(self.degree):
            pair = splat(self.builder, load(self.builder, address, 4 * c, WIDE), SUMS.count)
            found.append(self.builder.bitcast(pair, LIMB_PAIRS))
        return found

    def add(self, register: int, x: Value, y: Value, factors: list[Value]) -> None:
        """Add a register of two streams times their constants."""
        x, y = (self.builder.bitcast(value, LIMB_PAIRS) for value in (x, y))
        for half in range(2):
            pairs = shuffle(self.builder, x, y, _places(half))
            for c, factor in enumerate(factors):
                product = multiply_pairs(self.builder, pairs, factor)
                place = self.places[(register * self.degree + c) * 2 + half]
                total = self.builder.load(place, typ=SUMS)
                self.builder.store(self.builder.add(total, product), place)

    def write(self, address: Value) -> None:
        """Write the sums to an address."""
        for at, place in enumerate(self.places):
            total = self.builder.load(place, typ=SUMS)
            store(self.builder, total, address, at * REGISTER_BITS // 8)


def _places(half: int) -> list[int]:
    """Return where the limbs of one half of every block stand, those of two streams in turn."""
    first = half * LIMBS // 2
    return [
        limb + stream * LIMB_PAIRS.count
        for block in range(first, LIMB_PAIRS.count, LIMBS)
        for limb in range(block, block + LIMBS // 2)
        for stream in range(2)
    ]


@intrinsic(prefer_literal=True)
def _sum_group(typing_context, degree, sums, first, keys, factors, pairs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001, PLR0917
    """Write the sums of pairs of streams times their constants for a group of blocks.

    All arguments but the first block and the number of pairs are addresses.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        _, sums_at, start, keys_at, factors_at, count = arguments
        index = start.type
        totals = _Sums(builder, coordinates)
        states = counters(builder, start, GROUP_BLOCKS)
        with cgutils.for_range(builder, count) as loop:
            at = builder.mul(loop.index, constant(index, 2 * SCHEDULE_BYTES))
            place = builder.add(keys_at, at)
            other = builder.add(place, constant(index, SCHEDULE_BYTES))
            x, y = (keystream(builder, key, states) for key in (place, other))
            offset = builder.mul(loop.index, constant(index, 4 * coordinates))
            constants = totals.factors(builder.add(factors_at, offset))
            for register, (left, right) in enumerate(zip(x, y, strict=True)):
                totals.add(register, left, right, constants)
        totals.write(sums_at)
        return context.get_dummy_value()

    coordinates = degree.literal_value
    word = types.uint64
    return types.void(degree, word, word, word, word, word), generate


@njit([void(int64[::1], int64[::1])], nogil=True, cache=True)
def fold(sums: NDArray[np.int64], totals: NDArray[np.int64]) -> None:
    """Add pairs of neighbouring 32-bit sums, the second one times 2^16, to 64-bit totals."""
    half, limb = int64(32), int64(16)
    for at in range(sums.size):
        pair = sums[at]
        totals[at] += ((pair << half) >> half) + ((pair >> half) << limb)


@cache
def stream_adder(degree: int) -> Callable[..., None]:
    """Return the kernel that enciphers streams and sums them.

    `add(totals, block, keys, factors, runs)` writes the totals of groups of blocks, from number
    `block` of the streams on:

        totals: shape (groups, d * `GROUP_BLOCKS` * 4).
        keys: address of the round keys of the streams, an even number of them.
        factors: address of their constants as 16-bit numbers, shape (pairs, d, 2).
        runs: where each run of pairs ends.
    """
    size = GROUP_BLOCKS * degree * LIMBS // 2

    @njit([void(int64[:, ::1], uint64, uint64, uint64, int64[::1])], nogil=True, cache=True)
    def add(
        totals: NDArray[np.int64], block: int, keys: int, factors: int, runs: NDArray[np.int64]
    ) -> None:
        sums = np.empty(size, np.int64)
        sums_at = uint64(sums.ctypes.data)
        for group in range(totals.shape[0]):
            totals[group] = int64(0)
            start = int64(0)
            for stop in runs:
                key = keys + uint64(start) * uint64(2 * SCHEDULE_BYTES)
                factor = factors + uint64(start) * uint64(4 * degree)
                pairs = uint64(stop - start)
                _sum_group(degree, sums_at, block, key, factor, pairs)
                fold(sums, totals[group])
                start = stop
            block += uint64(GROUP_BLOCKS)
        keep(sums)

    return add
