"""AES-128 in counter mode inside kernels, in the instructions of `kernels.instructions`.

A stream is given by the address of its round keys, 176 bytes. `schedule` folds the nonce into the
first of them, since counter block and nonce only meet there, and what has to be added to the
stream mod 2 into the last one.

Nothing compiles when this is imported, since compiling for a CPU without AES ends the process; ask
`kernels.backend` first.

Security: no table, branch or address depends on a key or on what is enciphered.
"""
# The types of numba and LLVM are not those of Python.
# mypy: disable-error-code="arg-type, assignment, call-arg, no-untyped-call, var-annotated"

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir
from numba import njit, types, uint64
from numba.extending import intrinsic

from mpc_core.kernels.instructions import AES_BLOCKS, aes_key_assist, aes_round
from mpc_core.kernels.vectors import (
    INDEX,
    WIDE,
    call_function,
    constant,
    load,
    shuffle,
    splat,
    store,
    vector,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mpc_core.kernels.vectors import Builder, Value

__all__ = [
    "BLOCK_BYTES",
    "KEY_BYTES",
    "SCHEDULE_BYTES",
    "counters",
    "expand",
    "keystream",
    "write_schedules",
]

BLOCK_BYTES, ROUNDS = 16, 10
KEY_BYTES = 24
"""A key and its nonce."""

SCHEDULE_BYTES = (ROUNDS + 1) * BLOCK_BYTES
ROUND_CONSTANTS = (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1B, 0x36)
BLOCK, BLOCKS, WORDS = vector(INDEX, 2), vector(INDEX, 2 * AES_BLOCKS), vector(WIDE, 4)

EXPANDED = 16
"""Blocks that `expand` makes at a time: enough rounds in flight to hide their latency."""


def counters(builder: Builder, first: Value, blocks: int) -> list[Value]:
    """Return registers with the counters of consecutive blocks, the nonce's place left zero.

    The index of a block is a 64-bit big-endian number in the second half of its counter block.
    """
    base = builder.insert_element(constant(BLOCK, 0), first, constant(WIDE, 1))
    bases = _repeated(builder, base)
    found = []
    for block in range(0, blocks, AES_BLOCKS):
        places = [n for at in range(block, block + AES_BLOCKS) for n in (0, at)]
        numbers = builder.add(bases, constant(BLOCKS, places))
        found.append(call_function(builder, "llvm.bswap.v8i64", BLOCKS, [numbers]))
    return found


def keystream(builder: Builder, keys: Value, states: list[Value]) -> list[Value]:
    """Return the enciphered counters, in as many registers.

    Args:
        builder: where the code goes.
        keys: address of the round keys.
        states: what `counters` returns.
    """
    for number in range(ROUNDS + 1):
        key = _repeated(builder, load(builder, keys, number * BLOCK_BYTES, BLOCK))
        if number == 0:
            states = [builder.xor(state, key) for state in states]
        else:
            last = number == ROUNDS
            states = [aes_round(builder, state, key, last=last) for state in states]
    return states


def _repeated(builder: Builder, block: Value) -> Value:
    """Return a register that holds one block everywhere."""
    return shuffle(builder, block, block, [0, 1] * AES_BLOCKS)


@intrinsic
def _write_blocks(typing_context, destination, first, keys):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    """Write `EXPANDED` blocks of a stream to an address."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        target, start, schedule = arguments
        states = counters(builder, start, EXPANDED)
        for at, blocks in enumerate(keystream(builder, schedule, states)):
            store(builder, blocks, target, at * AES_BLOCKS * BLOCK_BYTES)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64), generate


@njit(nogil=True, cache=True)
def expand(destination: np.uint64, first: np.uint64, blocks: np.uint64, keys: np.uint64) -> None:
    """Write blocks of a stream, their number rounded up to a multiple of `EXPANDED`.

    Args:
        destination: address of the blocks.
        first: number of the first block.
        blocks: how many.
        keys: address of the round keys.
    """
    for block in range(uint64(0), blocks, uint64(EXPANDED)):
        place = destination + block * uint64(BLOCK_BYTES)
        _write_blocks(place, first + block, keys)


@intrinsic
def _write_schedule(typing_context, key, nonce, added, target):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    """Write the round keys of a stream to an address; the first two arguments are addresses too.

    Source: FIPS 197, section 5.2.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        key_at, nonce_at, word, place = arguments
        whole = ir.IntType(128)
        round_key = load(builder, key_at, 0, BLOCK)
        start = builder.insert_element(
            constant(BLOCK, 0), load(builder, nonce_at, 0, INDEX), constant(WIDE, 0)
        )
        store(builder, builder.xor(round_key, start), place, 0)
        for number, round_constant in enumerate(ROUND_CONSTANTS, 1):
            words = builder.bitcast(aes_key_assist(builder, round_key, round_constant), WORDS)
            last = builder.bitcast(shuffle(builder, words, words, [3] * 4), whole)
            spread = builder.bitcast(round_key, whole)
            for shift in (32, 64):
                spread = builder.xor(spread, builder.shl(spread, constant(whole, shift)))
            round_key = builder.bitcast(builder.xor(spread, last), BLOCK)
            if number == ROUNDS:
                round_key = builder.xor(round_key, splat(builder, word, 2))
            store(builder, round_key, place, number * BLOCK_BYTES)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64, types.uint64), generate


@njit(nogil=True, cache=True)
def write_schedules(
    keys: NDArray[np.uint8], added: np.uint64, schedules: NDArray[np.uint8]
) -> None:
    """Write the round keys of streams.

    Args:
        keys: key and nonce of each stream, shape (streams, `KEY_BYTES`).
        added: what is added mod 2 to each half of every block of the streams.
        schedules: shape (streams, `SCHEDULE_BYTES`).
    """
    for at in range(keys.shape[0]):
        key = uint64(keys[at].ctypes.data)
        target = uint64(schedules[at].ctypes.data)
        _write_schedule(key, key + uint64(BLOCK_BYTES), added, target)
