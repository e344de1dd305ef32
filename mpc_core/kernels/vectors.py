"""Vectors in the terms of LLVM: the few steps that kernels build by hand.

Nothing here names an instruction of a CPU; LLVM splits or emulates what the machine lacks.
Addresses are integers, and nothing looks at bounds.
"""
# The types of numba and LLVM are not those of Python.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

LIMB, WIDE, INDEX = ir.IntType(16), ir.IntType(32), ir.IntType(64)
POINTER = ir.PointerType()

Builder = Any
Value = Any


def vector(element: ir.Type, count: int) -> ir.VectorType:
    """Return the type of `count` elements."""
    return ir.VectorType(element, count)


def constant(kind: ir.Type, value: int | Sequence[int]) -> ir.Constant:
    """Return a constant of a type; one value serves all elements of a vector."""
    if isinstance(kind, ir.VectorType) and isinstance(value, int):
        value = [value] * kind.count
    return ir.Constant(kind, value)


def load(builder: Builder, address: Value, offset: int, kind: ir.Type) -> Value:
    """Return what stands `offset` bytes after an address, aligned or not."""
    return builder.load(_place(builder, address, offset), typ=kind, align=1)


def store(builder: Builder, value: Value, address: Value, offset: int) -> None:
    """Write a value `offset` bytes after an address, aligned or not."""
    builder.store(value, _place(builder, address, offset), align=1)


def shuffle(builder: Builder, first: Value, second: Value, places: Sequence[int]) -> Value:
    """Return the elements at these places of two vectors, counted on from one to the other."""
    mask = constant(vector(WIDE, len(places)), list(places))
    return builder.shuffle_vector(first, second, mask)


def splat(builder: Builder, scalar: Value, count: int) -> Value:
    """Return a vector whose elements are all the same."""
    empty = ir.Constant(vector(scalar.type, count), ir.Undefined)
    one = builder.insert_element(empty, scalar, constant(WIDE, 0))
    return shuffle(builder, one, empty, [0] * count)


def call_function(
    builder: Builder, name: str, result: ir.Type, arguments: Sequence[Value]
) -> Value:
    """Return what a function that LLVM knows by name makes of the arguments."""
    found = builder.module.globals.get(name)
    if found is None:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        found = ir.Function(builder.module, kind, name)
    return builder.call(found, arguments)


def _place(builder: Builder, address: Value, offset: int) -> Value:
    return builder.inttoptr(builder.add(address, constant(INDEX, offset)), POINTER)
