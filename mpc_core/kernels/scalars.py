"""Words of Z_2^K in kernels written once for K = 64 and K = 128: `uint64` or `u128` values.

The functions that make a value take K, which has to be known when a kernel compiles; all others go
by the type. `+`, `-`, `*` and `<<` by an unsigned number work on both types.
"""
# The types of numba and LLVM are not those of Python.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mpc_core.kernels.u128 import u128
from mpc_core.kernels.vectors import load, store

if TYPE_CHECKING:
    from numba.core.types import Type

__all__ = ["bit_and", "load_word", "narrow", "store_word", "word_of"]

NATIVE_BITS = 64
NATIVE = ir.IntType(NATIVE_BITS)


def _kind(bits: int) -> Type:
    return types.uint64 if bits == NATIVE_BITS else u128


@intrinsic(prefer_literal=True)
def load_word(typing_context, bits, address):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG001
    """Return the word of K bits at an address."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        return load(builder, arguments[1], 0, ir.IntType(bits.literal_value))

    return _kind(bits.literal_value)(bits, types.uint64), generate


@intrinsic
def store_word(typing_context, address, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG001
    """Write a word to an address."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        store(builder, arguments[1], arguments[0], 0)
        return context.get_dummy_value()

    return types.void(types.uint64, value), generate


@intrinsic(prefer_literal=True)
def word_of(typing_context, bits, low):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG001
    """Return the word of K bits with this low half and nothing above."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        return builder.zext(arguments[1], ir.IntType(bits.literal_value))

    return _kind(bits.literal_value)(bits, types.uint64), generate


@intrinsic
def bit_and(typing_context, a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG001
    """Return the bits that two words of one type have in common."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        return builder.and_(arguments[0], arguments[1])

    return a(a, b), generate


@intrinsic(prefer_literal=True)
def narrow(typing_context, bits, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG001
    """Return a value mod 2^K."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        if bits.literal_value == NATIVE_BITS:
            return builder.trunc(arguments[1], NATIVE)
        return arguments[1]

    return _kind(bits.literal_value)(bits, u128), generate
