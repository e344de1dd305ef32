"""The numba type `u128`: words of Z_2^128 that kernels compute with as if they were integers.

A value is one LLVM `i128`, so the compiler keeps it in two registers and chooses the machine
multiplications itself: three for a product of two values, two for one with 64 bits. Everything
wraps mod 2^128. `a + b`, `a - b` and `a * b` work between values, `a << k` takes a 64-bit unsigned
k < 128. Numba has no literals of the type: values come from `from_words`, `widen` and `load`.

Values go from function to function inside kernels, never to or from Python. In memory a value is 16
bytes, little-endian, anywhere; `load` and `store` take addresses (`array.ctypes.data` plus bytes)
and know no bounds.

Security: no operation has a branch, an address or a running time that depends on a value.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import extending, njit, types, uint64
from numba.extending import lower_builtin, models, register_model, type_callable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "from_words",
    "full_product",
    "high",
    "intrinsic",
    "load",
    "low",
    "multiply_signed",
    "multiply_word",
    "ones",
    "shift_right",
    "store",
    "store_low",
    "u128",
    "widen",
    "widen_signed",
]

WORD, WIDE = ir.IntType(64), ir.IntType(128)  # type: ignore[no-untyped-call]
POINTER = ir.PointerType()  # type: ignore[no-untyped-call]
HALF = ir.Constant(WIDE, 64)  # type: ignore[no-untyped-call]


class _U128(types.Type):
    def __init__(self) -> None:
        super().__init__(name="u128")


u128 = _U128()


@register_model(_U128)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, kind) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
        super().__init__(manager, kind, WIDE)  # type: ignore[no-untyped-call]


def intrinsic(definition: Callable[..., Any]) -> Any:
    """Define an intrinsic; type checkers take it for a function of anything."""
    return extending.intrinsic(definition)


def _define(operation: Callable[..., object], right: types.Type, instruction: str) -> None:
    """Make `u128 operation right` one LLVM instruction."""

    @type_callable(operation)
    def typed(_context):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        def typer(a, b):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            return u128 if (a, b) == (u128, right) else None

        return typer

    @lower_builtin(operation, u128, right)  # type: ignore[no-untyped-call]
    def lowered(_context, builder, _signature, values):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        a, b = values
        return getattr(builder, instruction)(a, b if right is u128 else builder.zext(b, WIDE))


_define(operator.add, u128, "add")
_define(operator.sub, u128, "sub")
_define(operator.mul, u128, "mul")
_define(operator.lshift, types.uint64, "shl")


@intrinsic
def load(typing_context, address):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Return the value in the 16 bytes at `address`."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        place = builder.inttoptr(arguments[0], POINTER)
        return builder.load(place, typ=WIDE, align=1)

    return u128(types.uint64), generate


@intrinsic
def store(typing_context, address, value):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Write `value` to the 16 bytes at `address`."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        builder.store(arguments[1], builder.inttoptr(arguments[0], POINTER), align=1)
        return context.get_dummy_value()

    return types.void(types.uint64, u128), generate


@intrinsic
def store_low(typing_context, address, value):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Write the low 64 bits of `value` to the 8 bytes at `address`."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        word = builder.trunc(arguments[1], WORD)
        builder.store(word, builder.inttoptr(arguments[0], POINTER), align=1)
        return context.get_dummy_value()

    return types.void(types.uint64, u128), generate


@intrinsic
def widen(typing_context, word):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Return a 64-bit unsigned word as a value."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        return builder.zext(arguments[0], WIDE)

    return u128(types.uint64), generate


@intrinsic
def widen_signed(typing_context, word):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Return a 64-bit signed word as a value."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        return builder.sext(arguments[0], WIDE)

    return u128(types.int64), generate


@intrinsic
def from_words(typing_context, low_word, high_word):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Return low_word + 2^64 high_word."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        bottom, top = (builder.zext(argument, WIDE) for argument in arguments)
        return builder.or_(bottom, builder.shl(top, HALF))

    return u128(types.uint64, types.uint64), generate


@intrinsic
def low(typing_context, value):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Return the low 64 bits."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        return builder.trunc(arguments[0], WORD)

    return types.uint64(u128), generate


@intrinsic
def high(typing_context, value):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Return the high 64 bits."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        return builder.trunc(builder.lshr(arguments[0], HALF), WORD)

    return types.uint64(u128), generate


@intrinsic
def shift_right(typing_context, value, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Return the value shifted right by `count` < 128 bits, zeros coming in."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        return builder.lshr(arguments[0], builder.zext(arguments[1], WIDE))

    return u128(u128, types.uint64), generate


@intrinsic
def full_product(typing_context, a, b):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Return the whole product of two 64-bit unsigned words."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        return builder.mul(*(builder.zext(argument, WIDE) for argument in arguments))

    return u128(types.uint64, types.uint64), generate


@intrinsic
def multiply_word(typing_context, value, word):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Return the value times a 64-bit unsigned word."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        return builder.mul(arguments[0], builder.zext(arguments[1], WIDE))

    return u128(u128, types.uint64), generate


@intrinsic
def multiply_signed(typing_context, value, word):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Return the value times a 64-bit signed word."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        return builder.mul(arguments[0], builder.sext(arguments[1], WIDE))

    return u128(u128, types.int64), generate


@njit(nogil=True)
def ones(bits):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Return 2^bits - 1, for 1 to 128 bits."""
    none = widen(uint64(0))
    return shift_right(none - widen(uint64(1)), uint64(128) - uint64(bits))
