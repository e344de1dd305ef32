"""Vectors in the terms of LLVM: the few steps that kernels build by hand.

Nothing here names an instruction of a CPU; LLVM splits or emulates what the machine lacks.
Addresses are integers, and nothing looks at bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "INDEX",
    "LIMB",
    "WIDE",
    "call_function",
    "constant",
    "load",
    "shuffle",
    "splat",
    "store",
    "vector",
]

LIMB, WIDE, INDEX = ir.IntType(16), ir.IntType(32), ir.IntType(64)  # type: ignore[no-untyped-call]
POINTER = ir.PointerType()  # type: ignore[no-untyped-call]

Builder = ir.IRBuilder
Value = ir.Value


def vector(element: ir.Type, count: int) -> ir.VectorType:
    """Return the type of `count` elements."""
    return ir.VectorType(element, count)  # type: ignore[no-untyped-call]


def constant(kind: ir.Type, value: int | Sequence[int]) -> ir.Constant:
    """Return a constant of a type; one value serves all elements of a vector."""
    if isinstance(kind, ir.VectorType) and isinstance(value, int):
        value = [value] * kind.count
    return ir.Constant(kind, value)  # type: ignore[no-untyped-call]


def load(builder: Builder, address: Value, offset: int, kind: ir.Type) -> Value:
    """Return what stands `offset` bytes after an address, aligned or not."""
    return builder.load(_place(builder, address, offset), typ=kind, align=1)  # type: ignore[no-untyped-call]


def store(builder: Builder, value: Value, address: Value, offset: int) -> None:
    """Write a value `offset` bytes after an address, aligned or not."""
    builder.store(value, _place(builder, address, offset), align=1)  # type: ignore[no-untyped-call]


def shuffle(builder: Builder, first: Value, second: Value, places: Sequence[int]) -> Value:
    """Return the elements at these places of two vectors, counted on from one to the other."""
    mask = constant(vector(WIDE, len(places)), list(places))
    return builder.shuffle_vector(first, second, mask)  # type: ignore[no-untyped-call]


def splat(builder: Builder, scalar: Value, count: int) -> Value:
    """Return a vector whose elements are all the same."""
    empty = ir.Constant(vector(scalar.type, count), ir.Undefined)  # type: ignore[no-untyped-call]
    one = builder.insert_element(empty, scalar, constant(WIDE, 0))  # type: ignore[no-untyped-call]
    return shuffle(builder, one, empty, [0] * count)


def call_function(
    builder: Builder, name: str, result: ir.Type, arguments: Sequence[Value]
) -> Value:
    """Return what a function that LLVM knows by name makes of the arguments."""
    found = builder.module.globals.get(name)
    if found is None:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])  # type: ignore[no-untyped-call]
        found = ir.Function(builder.module, kind, name)  # type: ignore[no-untyped-call]
    return builder.call(found, arguments)  # type: ignore[no-untyped-call]


def _place(builder: Builder, address: Value, offset: int) -> Value:
    return builder.inttoptr(builder.add(address, constant(INDEX, offset)), POINTER)  # type: ignore[no-untyped-call]
