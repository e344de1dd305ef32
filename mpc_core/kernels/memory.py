"""Memory that kernels handle by address: asking for it ahead of its use, and keeping it.

Kernels that read long encodings once wait for them less if they ask ahead. The CPU does that by
itself, but not across pages, nor several interleaved streams well. Asking for an address that does
not exist has no effect.

An array of a kernel's own is freed after the last line that names it, though its address may be in
use still: `keep` names it once more.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from mpc_core.kernels.u128 import intrinsic

__all__ = ["AHEAD", "ask_for", "keep", "prefetch"]

AHEAD = 8192
"""Bytes between what is read and what is asked for: some tiles of elements."""

NUMBER = ir.IntType(32)  # type: ignore[no-untyped-call]
POINTER = ir.PointerType()  # type: ignore[no-untyped-call]


def ask_for(builder: Any, address: Any) -> None:
    """Ask for the cache line `AHEAD` bytes after an address, a 64-bit integer."""
    kind = ir.FunctionType(ir.VoidType(), [POINTER, NUMBER, NUMBER, NUMBER])  # type: ignore[no-untyped-call]
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")  # type: ignore[no-untyped-call]
    place = builder.inttoptr(builder.add(address, ir.Constant(address.type, AHEAD)), POINTER)  # type: ignore[no-untyped-call]
    read, second_level, data = 0, 2, 1
    builder.call(function, [place, *(ir.Constant(NUMBER, k) for k in (read, second_level, data))])  # type: ignore[no-untyped-call]


@intrinsic
def prefetch(typing_context, address):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Ask for the cache line `AHEAD` bytes after an address."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        ask_for(builder, arguments[0])
        return context.get_dummy_value()

    return types.void(types.uint64), generate


@intrinsic
def keep(typing_context, array):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Keep an array until here: whoever works on its address says when it may go."""

    def generate(context: Any, _builder: Any, _signature: Any, _arguments: Any) -> Any:
        return context.get_dummy_value()

    return types.void(array), generate
