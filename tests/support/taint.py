"""Which branches, addresses and divisions of a compiled kernel depend on what it read.

A taint analysis of LLVM code after all optimisation, as the machine code is made of it. What is
loaded from memory that a caller passed is a secret, and so is whatever is computed from a secret,
also by way of the stack. Numbers that are passed (lengths, addresses, widths) are public, and so
are constants. It sees the code of one function with everything that was inlined into it; what a
call does that was not inlined is taken for a computation. It says nothing of the machine: an
instruction whose time depends on its operands is one of `DIVISIONS` or unknown to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import llvmlite.binding as llvm
import numba

DIVISIONS = frozenset({"udiv", "sdiv", "urem", "srem", "fdiv", "frem"})
WRAPPERS = ("_ZN7cpython", "cfunc.")
"""Functions around the kernel that take Python's objects apart."""

GLOBAL = "a constant"


def compiled(dispatcher, signature):
    """Return the LLVM code of a kernel, compiled anew: a cached one has none."""
    kept = ("nogil", "fastmath", "error_model", "boundscheck")
    options = {name: value for name, value in dispatcher.targetoptions.items() if name in kept}
    fresh = numba.njit(**options)(dispatcher.py_func)
    fresh.compile(signature)
    return fresh.inspect_llvm(fresh.signatures[0])


def leaks(text):
    """Return what depends on a secret, as pairs of a kind and an instruction."""
    module = llvm.parse_assembly(text)
    kernels = (each for each in module.functions if not each.is_declaration)
    return [
        leak
        for each in kernels
        if not each.name.startswith(WRAPPERS)
        for leak in _Function.of(each).leaks()
    ]


@dataclass
class _Function:
    """The instructions of a function, each as its operation, its operands and its text."""

    instructions: list
    tainted: set = field(default_factory=set)
    stained: set = field(default_factory=set)
    found: dict = field(default_factory=dict)

    def __post_init__(self):
        self._producers = {text: (op, used) for op, used, text in self.instructions}
        self._places = {}

    @classmethod
    def of(cls, function):
        return cls(
            [
                (each.opcode, [str(used).strip() for used in each.operands], str(each).strip())
                for block in function.blocks
                for each in block.instructions
            ]
        )

    def places(self, pointer):
        """Return which memory a pointer may point into: stack slots, constants, the caller's."""
        if pointer not in self._places:
            self._places[pointer] = frozenset()
            self._places[pointer] = self._found_places(pointer)
        return self._places[pointer]

    def _found_places(self, pointer):
        if pointer not in self._producers:
            is_global = " global " in pointer or " constant " in pointer
            return frozenset({GLOBAL if is_global else "the caller's"})
        op, used = self._producers[pointer]
        if op == "alloca":
            return frozenset({pointer})
        if op == "load":
            return frozenset({"the caller's"})
        if op == "getelementptr":
            return self.places(used[0])
        values = used[1:] if op == "select" else used
        return frozenset().union(*(self.places(each) for each in values))

    def leaks(self):
        before = None
        while before != (before := (len(self.tainted), len(self.stained))):
            for op, used, text in self.instructions:
                if self._step(op, used, [each in self.tainted for each in used], text):
                    self.tainted.add(text)
        return sorted((kind, text) for text, kind in self.found.items())

    def _step(self, op, used, secret, text):
        """Look at one instruction; return whether its result is a secret."""
        if op == "load":
            if secret[0]:
                self.found[text] = "address"
            return any(self._is_secret(place) for place in self.places(used[0]))
        if op == "store":
            if secret[1]:
                self.found[text] = "address"
            if secret[0]:
                self.stained |= self.places(used[1])
            return False
        if op == "call":
            return self._called(used, secret, text)
        if op in {"br", "switch"} and secret[0] and len(used) > 1:
            self.found[text] = "branch"
        if op in DIVISIONS and any(secret):
            self.found[text] = "division"
        return any(secret)

    def _called(self, used, secret, text):
        if "@llvm.mem" not in text:
            return any(secret[:-1])
        if "@llvm.memset" not in text and any(map(self._is_secret, self.places(used[1]))):
            self.stained |= self.places(used[0])
        if any(secret[:3]):
            self.found[text] = "address"
        return False

    def _is_secret(self, place):
        return place == "the caller's" or (place != GLOBAL and place in self.stained)
