"""SHA-256 of two leaves of a Merkle tree at once, with the instructions made for it.

A round of SHA-256 waits for the one before it, so a core that hashes one message is idle for half
of the time. Two messages side by side fill it. The library hashes one after the other.

Source: FIPS 180-4, section 6.2; a leaf is hashed after a zero byte (RFC 6962, section 2.1).
"""
# The types of numba and LLVM are not those of Python.
# mypy: disable-error-code="arg-type, assignment, call-arg, no-untyped-call, var-annotated"

from __future__ import annotations

from functools import cache
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np
from llvmlite import ir
from numba import int64, njit, types, uint64, void
from numba.core import cgutils

from mpc_core.kernels.instructions import sha256_next_words, sha256_rounds
from mpc_core.kernels.memory import keep
from mpc_core.kernels.scalars import load_word, store_word
from mpc_core.kernels.u128 import intrinsic
from mpc_core.kernels.vectors import INDEX, WIDE, call_function, constant, load, shuffle, vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mpc_core.kernels.vectors import Builder, Value

__all__ = ["BLOCK_BYTES", "hash_two_leaves", "leaf_hasher"]

BLOCK_BYTES, WORD_BYTES = 64, 8
WORDS = vector(WIDE, 4)
STATE_BYTES = 32
MESSAGES = 2
GROUPS = 16
"""Of four rounds each."""


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _cube_root(number: int) -> int:
    low, high = 0, number
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= number else (low, middle - 1)
    return low


ROUND_CONSTANTS = [_cube_root(prime << 96) & 0xFFFF_FFFF for prime in _primes(64)]
"""The first 32 bits after the point of the cube roots of the first 64 primes."""

START = [isqrt(prime << 64) & 0xFFFF_FFFF for prime in _primes(8)]
"""Words A to H: of the square roots of the first 8 primes."""

PLACES = [5, 4, 1, 0, 7, 6, 3, 2]
"""The words in the order in which two registers hold them: F, E, B, A and H, G, D, C."""

STATES = np.array([[START[place] for place in PLACES]] * MESSAGES, np.uint32)
"""What the states of all messages begin with."""

_ORDER = np.argsort(PLACES)


def _block(builder: Builder, states: list[list[Value]], words: list[list[Value]]) -> None:
    """Replace the states of messages by those after a block each."""
    before = [list(state) for state in states]
    for group in range(GROUPS):
        numbers = constant(WORDS, ROUND_CONSTANTS[4 * group : 4 * group + 4])
        for state, scheduled in zip(states, words, strict=True):
            added = builder.add(scheduled[0], numbers)
            state[1] = sha256_rounds(builder, state[1], state[0], added)
            upper = shuffle(builder, added, added, [2, 3, 0, 1])
            state[0] = sha256_rounds(builder, state[0], state[1], upper)
            if group + len(scheduled) < GROUPS:
                scheduled.append(sha256_next_words(builder, scheduled))
            del scheduled[0]
    for state, old in zip(states, before, strict=True):
        state[:] = [builder.add(new, half) for new, half in zip(state, old, strict=True)]


@intrinsic
def _compress(typing_context, states, first, second, blocks):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    """Take blocks of two messages into their states; all but the last argument are addresses."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        place, *messages, count = arguments
        offsets = [(at * STATE_BYTES, at * STATE_BYTES + 16) for at in range(MESSAGES)]
        held = [
            [
                cgutils.alloca_once_value(builder, load(builder, place, offset, WORDS))
                for offset in pair
            ]
            for pair in offsets
        ]
        with cgutils.for_range(builder, count) as loop:
            skip = builder.mul(loop.index, constant(INDEX, BLOCK_BYTES))
            states = [[builder.load(half, typ=WORDS) for half in pair] for pair in held]
            words = []
            for message in messages:
                at = builder.add(message, skip)
                parts = (load(builder, at, offset, WORDS) for offset in range(0, BLOCK_BYTES, 16))
                words.append(
                    [call_function(builder, "llvm.bswap.v4i32", WORDS, (part,)) for part in parts]
                )
            _block(builder, states, words)
            for pair, state in zip(held, states, strict=True):
                for half, value in zip(pair, state, strict=True):
                    builder.store(value, half)
        for pair, places in zip(held, offsets, strict=True):
            for half, offset in zip(pair, places, strict=True):
                target = builder.inttoptr(
                    builder.add(place, constant(INDEX, offset)), ir.PointerType()
                )
                builder.store(builder.load(half, typ=WORDS), target, align=1)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64, types.int64), generate


@cache
def leaf_hasher() -> Callable[..., None]:
    """Return `hash(first, second, size, tail, states)`.

    first, second: addresses of the two leaves.
    size: bytes of each, a positive multiple of `BLOCK_BYTES`.
    tail: the number of bits of a message, big-endian.
    states: the start in the order of `PLACES`, replaced by the hash, shape (2, 8).

    A message is a zero byte and the leaf, so its blocks begin a byte before those of the leaf.
    """

    @njit([void(uint64, uint64, int64, uint64, types.uint32[:, ::1])], nogil=True, cache=True)
    def hash_leaves(
        first: int, second: int, size: int, tail: int, states: NDArray[np.uint32]
    ) -> None:
        ends = np.zeros((MESSAGES, BLOCK_BYTES), np.uint8)
        one, two = uint64(ends[0].ctypes.data), uint64(ends[1].ctypes.data)
        at, block, word = uint64(states.ctypes.data), uint64(BLOCK_BYTES), uint64(WORD_BYTES)
        for place, leaf in ((one, first), (two, second)):
            for k in range(uint64(7)):
                store_word(place + uint64(1) + k * word, load_word(64, leaf + k * word))
            last = block - word
            store_word(place + last, load_word(64, leaf + last - uint64(1)))
        _compress(at, one, two, int64(1))
        whole = int64(size // BLOCK_BYTES - 1)
        _compress(at, first + block - uint64(1), second + block - uint64(1), whole)
        for place, leaf in ((one, first), (two, second)):
            final = load_word(64, leaf + uint64(size) - word) >> uint64(56)
            store_word(place, final | uint64(0x8000))
            for k in range(uint64(1), uint64(7)):
                store_word(place + k * word, uint64(0))
            store_word(place + block - word, tail)
        _compress(at, one, two, int64(1))
        keep(ends)

    return hash_leaves


def hash_two_leaves(leaves: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    """Return the hashes of two leaves, shape (2, size); size is a multiple of `BLOCK_BYTES`."""
    size = leaves.shape[1]
    if not size or size % BLOCK_BYTES:
        raise ValueError("leaves are whole blocks")
    states = STATES.copy()
    tail = int.from_bytes((8 * (size + 1)).to_bytes(WORD_BYTES, "big"), "little")
    first, distance = leaves.__array_interface__["data"][0], leaves.strides[0]
    leaf_hasher()(np.uint64(first), np.uint64(first + distance), size, np.uint64(tail), states)
    ordered = states[:, _ORDER].byteswap().tobytes()
    return ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]
