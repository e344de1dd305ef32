"""Which branches, addresses and divisions of a compiled kernel depend on what it read.

A taint analysis of LLVM code after all optimisation, as the machine code is made of it. What is
loaded from memory that a caller passed is a secret, but for tables that are said to be public, and
so is whatever is computed from a secret, also by way of the stack. Numbers that are passed
(lengths, addresses, widths) are public, and so are constants. It sees the code of one function with
everything that was inlined into it; what a call does that was not inlined is taken for a
computation. It says nothing of the machine: an instruction whose time depends on its operands is
one of `DIVISIONS` or unknown to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import llvmlite.binding as llvm
import numba

DIVISIONS = frozenset({"udiv", "sdiv", "urem", "srem", "fdiv", "frem"})
WRAPPERS = ("_ZN7cpython", "cfunc.")
"""Functions around the kernel that take Python's objects apart."""

GLOBAL, PUBLIC, SECRET = "a constant", "public", "the caller's"
ALLOCATES, DATA_OF = "@NRT_MemInfo_alloc", "the array of {}"
"""An array of a kernel's own: the allocation is what describes it, and holds where its data is."""

RUNTIME = re.compile(r"@(llvm\.|NRT_)")
ARGUMENT = re.compile(r'%"?arg\.(\w+)(\.\d)?')


def compiled(dispatcher, signature):
    """Return the LLVM code of a kernel, compiled anew: a cached one has none."""
    kept = ("nogil", "fastmath", "error_model", "boundscheck")
    options = {name: value for name, value in dispatcher.targetoptions.items() if name in kept}
    fresh = numba.njit(**options)(dispatcher.py_func)
    fresh.compile(signature)
    return fresh.inspect_llvm(fresh.signatures[0])


def leaks(text, public=()):
    """Return what depends on a secret, as pairs of a kind and an instruction.

    Args:
        text: LLVM code.
        public: arguments of which what lies where they point is no secret: `name[]` for arrays,
            `name` for addresses; a plain number that goes into such an address has to be named,
            too. What lies where an address points that was read somewhere is a secret even so.
    """
    module = llvm.parse_assembly(text)
    kernels = (each for each in module.functions if not each.is_declaration)
    return [
        leak
        for each in kernels
        if not each.name.startswith(WRAPPERS)
        for leak in _Function.of(each, frozenset(public)).leaks()
    ]


@dataclass
class _Function:
    """The instructions of a function, each as its operation, its operands and its text."""

    instructions: list
    public: frozenset
    tainted: set = field(default_factory=set)
    stained: set = field(default_factory=set)
    found: dict = field(default_factory=dict)

    @classmethod
    def of(cls, function, public):
        return cls(
            [
                (each.opcode, [str(used).strip() for used in each.operands], str(each).strip())
                for block in function.blocks
                for each in block.instructions
            ],
            public,
        )

    def places(self, pointer):
        """Return which memory a pointer may point into: stack slots, constants, the caller's."""
        return self._places[pointer] if pointer in self._places else self._leaf(pointer)

    def _leaf(self, text):
        """Return where something points that no instruction made."""
        argument = ARGUMENT.search(text)
        if argument:
            name = f"{argument[1]}[]" if argument[2] else argument[1]
            return frozenset({PUBLIC if name in self.public else SECRET})
        if " global " in text or " constant " in text:
            return frozenset({GLOBAL})
        return frozenset({SECRET}) if "@" in text or "%" in text else frozenset()

    def _find_places(self):
        """Follow all pointers until nothing new is found: loops move them on."""
        self._places = {text: frozenset() for _, _, text in self.instructions}
        before = None
        while before != (before := sum(map(len, self._places.values()))):
            for op, used, text in self.instructions:
                self._places[text] |= self._places_of(op, used, text)

    def _places_of(self, op, used, text):
        if op == "alloca":
            return frozenset({text})
        if op == "call" and ALLOCATES in text:
            return frozenset({text})
        if op == "load":
            kept = (place for place in self.places(used[0]) if ALLOCATES in place)
            return frozenset(map(DATA_OF.format, kept)) or frozenset({SECRET})
        values = used[:1] if op == "getelementptr" else used[1:] if op == "select" else used
        return frozenset().union(*(self.places(each) for each in values))

    def leaks(self):
        self._find_places()
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
            return self._holds_a_secret(used[0])
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
            if not RUNTIME.search(text):
                # It may write secrets wherever it was shown memory of ours.
                shown = frozenset().union(*(self.places(each) for each in used[:-1]))
                self.stained |= {each for each in shown if "alloca" in each or DATA_OF[:9] in each}
            return any(secret[:-1])
        if "@llvm.memset" not in text and self._holds_a_secret(used[1]):
            self.stained |= self.places(used[0])
        if any(secret[:3]):
            self.found[text] = "address"
        return False

    def _holds_a_secret(self, pointer):
        """Tell whether what lies there may be a secret; so may what lies nobody knows where."""
        places = self.places(pointer)
        return not places or any(each == SECRET or each in self.stained for each in places)
