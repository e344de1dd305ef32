"""The only module that names instructions of a CPU: for AES, SHA-256 and sums of products.

They exist because nothing portable comes near: AES in software would have to look up tables at
secret places, and the compiler does not find the others by itself. `kernels.backend` decides
whether the CPU has them; `kernels.selftest` compares what they compute (runbooks/adr/0011).

Security: all of these take the same time for all values.
"""
# The types of numba and LLVM are not those of Python.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir

from mpc_core.kernels.vectors import INDEX, WIDE, call_function, constant, shuffle, vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpc_core.kernels.vectors import Builder, Value

__all__ = [
    "AES_BLOCKS",
    "REGISTER_BITS",
    "aes_key_assist",
    "aes_round",
    "multiply_pairs",
    "sha256_next_words",
    "sha256_rounds",
]

REGISTER_BITS = 512
AES_BLOCKS = REGISTER_BITS // 128
"""AES blocks in a register."""

BYTE = ir.IntType(8)


def multiply_pairs(builder: Builder, x: Value, y: Value) -> Value:
    """Return x[2k] y[2k] + x[2k+1] y[2k+1], signed 16-bit elements, in 32-bit elements."""
    sums = vector(WIDE, REGISTER_BITS // 32)
    return call_function(builder, "llvm.x86.avx512.pmaddw.d.512", sums, (x, y))


def aes_round(builder: Builder, state: Value, key: Value, *, last: bool) -> Value:
    """Return the blocks in a register after one round of AES, or its last one."""
    name = "llvm.x86.aesni.aesenclast.512" if last else "llvm.x86.aesni.aesenc.512"
    return call_function(builder, name, state.type, (state, key))


def aes_key_assist(builder: Builder, key: Value, round_constant: int) -> Value:
    """Return the substituted words from which the next round key of one block is made."""
    arguments = (key, constant(BYTE, round_constant))
    return call_function(builder, "llvm.x86.aesni.aeskeygenassist", vector(INDEX, 2), arguments)


def sha256_rounds(builder: Builder, older: Value, newer: Value, words: Value) -> Value:
    """Return what two rounds of SHA-256 make of a state (C, D, G, H), (A, B, E, F), highest first.

    It takes the place of `older`; the two low elements of `words` are the words plus constants.
    """
    return call_function(builder, "llvm.x86.sha256rnds2", older.type, (older, newer, words))


def sha256_next_words(builder: Builder, words: Sequence[Value]) -> Value:
    """Return words 16 to 19 of the message schedule of SHA-256, given words 0 to 15 by fours."""
    first, second, third, fourth = words
    kind = first.type
    started = call_function(builder, "llvm.x86.sha256msg1", kind, (first, second))
    started = builder.add(started, shuffle(builder, third, fourth, [1, 2, 3, 4]))
    return call_function(builder, "llvm.x86.sha256msg2", kind, (started, fourth))
