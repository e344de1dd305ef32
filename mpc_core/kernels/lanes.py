"""Complex numbers in vector lanes: the steps of `kernels.fft`, written as LLVM vector code.

A lane holds one 16-bit digit of a word: 8 lanes for words of 128 bits, 4 for 64 bits. A vector of
complex numbers lies in memory as the real parts of its lanes, then the imaginary parts. All steps
end in an argument `lanes`, a tuple of as many floats whose values do not matter: its type says how
many lanes there are. Indices count doubles, or 64-bit words in arrays of words.

Only vector types and operations that LLVM has for every machine are used. A multiplication and the
addition after it are rounded once or twice, as suits the machine; `kernels.fft` bounds both.

Security: no branch and no index depends on a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "add_product",
    "add_rounded",
    "join_four",
    "join_two",
    "load_digits",
    "load_part",
    "split_four",
    "split_two",
]

DIGIT_BITS = 16
DOUBLE = ir.DoubleType()  # type: ignore[no-untyped-call]
SHORT, INDEX, WORD = (ir.IntType(bits) for bits in (16, 32, 64))  # type: ignore[no-untyped-call]
ROUNDING, ROUNDING_BITS = 1.5 * 2.0**52, 0x4338_0000_0000_0000
"""A double, and its bits. Added to a number below 2^51 it leaves its nearest integer in the low
bits of the sum."""
POWERS = 3
"""A block's root r is tabulated with its square and its cube."""


class _Lanes(types.Type):
    """Numba's type of a vector of doubles; its values live inside kernels only."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"lanes{count}")


@register_model(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, kind) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
        super().__init__(manager, kind, ir.VectorType(DOUBLE, kind.count))  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Code:
    """Where instructions are written, and for how many lanes."""

    builder: Any
    lanes: int

    @property
    def vector(self) -> Any:
        return ir.VectorType(DOUBLE, self.lanes)  # type: ignore[no-untyped-call]

    def after(self, index: Any, count: int) -> Any:
        return self.builder.add(index, ir.Constant(WORD, count))  # type: ignore[no-untyped-call]

    def _place(self, array: Any, index: Any, unit: Any, kind: Any) -> Any:
        place = self.builder.gep(array, [index], source_etype=unit)
        return self.builder.bitcast(place, kind.as_pointer())

    def load(self, array: Any, index: Any, kind: Any, unit: Any = DOUBLE) -> Any:
        """Load a value of some type from an index that counts another."""
        place = self._place(array, index, unit, kind)
        return self.builder.load(place, typ=kind, align=8)

    def store(self, array: Any, index: Any, value: Any, unit: Any = DOUBLE) -> None:
        place = self._place(array, index, unit, value.type)
        self.builder.store(value, place, align=8)

    def load_complex(self, array: Any, index: Any) -> _Complex:
        imaginary = self.after(index, self.lanes)
        return _Complex(
            self, self.load(array, index, self.vector), self.load(array, imaginary, self.vector)
        )

    def store_complex(self, array: Any, index: Any, value: _Complex) -> None:
        self.store(array, index, value.real)
        self.store(array, self.after(index, self.lanes), value.imaginary)

    def load_everywhere(self, array: Any, index: Any) -> Any:
        """Load one number into all lanes."""
        number = self.load(array, index, DOUBLE)
        empty = ir.Constant(self.vector, ir.Undefined)  # type: ignore[no-untyped-call]
        first = self.builder.insert_element(empty, number, ir.Constant(INDEX, 0))  # type: ignore[no-untyped-call]
        return self.shuffle(first, first, [0] * self.lanes)

    def roots(self, table: Any, block: Any, powers: int = POWERS) -> list[_Complex]:
        """Load r, r^2, ... of a block."""
        first = self.builder.mul(block, ir.Constant(WORD, 2 * POWERS))  # type: ignore[no-untyped-call]
        parts = [self.load_everywhere(table, self.after(first, part)) for part in range(2 * powers)]
        return [_Complex(self, *parts[at : at + 2]) for at in range(0, 2 * powers, 2)]

    def shuffle(self, left: Any, right: Any, order: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(INDEX, len(order)), order)  # type: ignore[no-untyped-call]
        return self.builder.shuffle_vector(left, right, mask)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """Return a b + c, rounded once or twice."""
        kind = ir.FunctionType(self.vector, [self.vector] * 3)  # type: ignore[no-untyped-call]
        name = f"llvm.fmuladd.v{self.lanes}f64"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)  # type: ignore[no-untyped-call]
        return self.builder.call(function, [a, b, c])


@dataclass(frozen=True, slots=True)
class _Complex:
    """Real and imaginary parts that the written code has at hand."""

    code: _Code
    real: Any
    imaginary: Any

    def __add__(self, other: _Complex) -> _Complex:
        add = self.code.builder.fadd
        return _Complex(self.code, add(self.real, other.real), add(self.imaginary, other.imaginary))

    def __sub__(self, other: _Complex) -> _Complex:
        subtract = self.code.builder.fsub
        return _Complex(
            self.code, subtract(self.real, other.real), subtract(self.imaginary, other.imaginary)
        )

    def __mul__(self, other: _Complex) -> _Complex:
        builder, multiply_add = self.code.builder, self.code.multiply_add
        negative = builder.fneg(builder.fmul(self.imaginary, other.imaginary))
        mixed = builder.fmul(self.imaginary, other.real)
        return _Complex(
            self.code,
            multiply_add(self.real, other.real, negative),
            multiply_add(self.real, other.imaginary, mixed),
        )

    def conjugate(self) -> _Complex:
        return _Complex(self.code, self.real, self.code.builder.fneg(self.imaginary))

    def times_i(self) -> _Complex:
        return _Complex(self.code, self.code.builder.fneg(self.imaginary), self.real)


def _step(write: Callable[..., None]) -> Any:
    """Make an intrinsic without result of a function that writes code; arrays become pointers."""

    @wraps(write)  # numba asks for the signature
    def typed(typing_context, *arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN002, ANN202, ARG001
        def generate(context, builder, signature, values):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            passed = (
                context.make_array(kind)(context, builder, value).data
                if isinstance(kind, types.Array)
                else value
                for kind, value in zip(signature.args, values, strict=True)
            )
            write(_Code(builder, signature.args[-1].count), *passed)
            return context.get_dummy_value()

        return types.void(*arguments), generate

    return intrinsic(typed)


@_step
def split_two(code, data, at, distance, table, block, lanes):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001, PLR0917
    """Replace a0 and a1, `distance` apart, by a0 + r a1 and a0 - r a1."""
    other = code.builder.add(at, distance)
    (root,) = code.roots(table, block, 1)
    first, second = code.load_complex(data, at), code.load_complex(data, other) * root
    code.store_complex(data, at, first + second)
    code.store_complex(data, other, first - second)


@_step
def join_two(code, data, at, distance, table, block, lanes):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001, PLR0917
    """Undo `split_two`, except for a factor 2."""
    other = code.builder.add(at, distance)
    (root,) = code.roots(table, block, 1)
    first, second = code.load_complex(data, at), code.load_complex(data, other)
    code.store_complex(data, at, first + second)
    code.store_complex(data, other, (first - second) * root.conjugate())


def _four(code: _Code, at: Any, distance: Any) -> list[Any]:
    places = [at]
    for _ in range(3):
        places.append(code.builder.add(places[-1], distance))
    return places


@_step
def split_four(code, data, at, distance, table, block, lanes):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001, PLR0917
    """Replace a0 .. a3, `distance` apart, by y_s = sum_m (i^s r)^m a_m."""
    places = _four(code, at, distance)
    values = [code.load_complex(data, place) for place in places]
    first = values[0]
    second, third, fourth = (
        value * root for value, root in zip(values[1:], code.roots(table, block), strict=True)
    )
    even, odd = first + third, second + fourth
    even_rest, odd_rest = first - third, (second - fourth).times_i()
    results = (even + odd, even_rest + odd_rest, even - odd, even_rest - odd_rest)
    for place, result in zip(places, results, strict=True):
        code.store_complex(data, place, result)


@_step
def join_four(code, data, at, distance, table, block, lanes):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001, PLR0917
    """Undo `split_four`, except for a factor 4."""
    places = _four(code, at, distance)
    first, second, third, fourth = (code.load_complex(data, place) for place in places)
    even, odd = first + third, second + fourth
    even_rest, odd_rest = first - third, (second - fourth).times_i()
    code.store_complex(data, places[0], even + odd)
    sums = (even_rest - odd_rest, even - odd, even_rest + odd_rest)
    for place, total, root in zip(places[1:], sums, code.roots(table, block), strict=True):
        code.store_complex(data, place, total * root.conjugate())


@_step
def load_digits(code, words, low, high, data, at, lanes):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001, PLR0917
    """Write the balanced digits of the word at `low` + i those of the word at `high`.

    The digits of w are D_k - 2^15, where D_k are the digits of w + sum_k 2^15 2^16k: numbers from
    -2^15 to 2^15 - 1. To subtract 2^15 from a digit is to flip its top bit and read it signed.
    """
    builder = code.builder
    kind = ir.IntType(DIGIT_BITS * code.lanes)  # type: ignore[no-untyped-call]
    middle = sum(1 << DIGIT_BITS * lane + DIGIT_BITS - 1 for lane in range(code.lanes))
    half = ir.Constant(kind, middle)  # type: ignore[no-untyped-call]

    def digits(index: Any) -> Any:
        word = code.load(words, index, kind, WORD)
        shifted = builder.xor(builder.add(word, half), half)
        signed = builder.bitcast(shifted, ir.VectorType(SHORT, code.lanes))  # type: ignore[no-untyped-call]
        return builder.sitofp(signed, code.vector)

    code.store_complex(data, at, _Complex(code, digits(low), digits(high)))


@_step
def add_rounded(code, words, low, high, data, at, lanes):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001, PLR0917
    """Add the integers nearest to a vector's lanes, times 2^16k, to the words at `low` and `high`.

    The real parts go to `low`, the imaginary parts to `high`; each is less than 2^46 in size.
    """
    value = code.load_complex(data, at)
    for index, part in ((low, value.real), (high, value.imaginary)):
        total = _word_of(code, part)
        before = code.load(words, index, total.type, WORD)
        code.store(words, index, code.builder.add(before, total), WORD)


def _word_of(code: _Code, numbers: Any) -> Any:
    """Round the lanes and return sum_k lane_k 2^16k; pairs of lanes fit in 64 bits."""
    builder, lanes = code.builder, code.lanes
    integers = ir.VectorType(WORD, lanes)  # type: ignore[no-untyped-call]
    rounded = builder.fadd(numbers, ir.Constant(code.vector, [ROUNDING] * lanes))  # type: ignore[no-untyped-call]
    bias = ir.Constant(integers, [ROUNDING_BITS] * lanes)  # type: ignore[no-untyped-call]
    digits = builder.sub(builder.bitcast(rounded, integers), bias)
    even = code.shuffle(digits, digits, list(range(0, lanes, 2)))
    odd = code.shuffle(digits, digits, list(range(1, lanes, 2)))
    shift = ir.Constant(even.type, [DIGIT_BITS] * (lanes // 2))  # type: ignore[no-untyped-call]
    pairs = builder.add(even, builder.shl(odd, shift))
    kind = ir.IntType(DIGIT_BITS * lanes)  # type: ignore[no-untyped-call]
    total = ir.Constant(kind, 0)  # type: ignore[no-untyped-call]
    for at in range(lanes // 2):
        pair = builder.extract_element(pairs, ir.Constant(INDEX, at))  # type: ignore[no-untyped-call]
        wide = pair if kind.width == WORD.width else builder.sext(pair, kind)
        places = ir.Constant(kind, 2 * DIGIT_BITS * at)  # type: ignore[no-untyped-call]
        total = builder.add(total, builder.shl(wide, places))
    return total


@intrinsic
def load_part(typing_context, data, at, lanes):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Return the vector of real or imaginary parts at an index."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        array = context.make_array(signature.args[0])(context, builder, values[0])
        code = _Code(builder, signature.args[2].count)
        return code.load(array.data, values[1], code.vector)

    return _Lanes(lanes.count)(data, at, lanes), generate


@_step
def add_product(code, total, at, real, imaginary, key, key_at, lanes):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001, PLR0917
    """Add real + i imaginary times the vector of `key` at an index, to the vector of `total`.

    The product of two vectors is that of their digits, cut off: lane c = sum_(p + q = c) a_p b_q.
    """
    builder, zero = code.builder, ir.Constant(code.vector, [0.0] * code.lanes)  # type: ignore[no-untyped-call]
    sums: list[Any] = []
    for lane in range(code.lanes):
        order = [max(0, code.lanes + to - lane) if to >= lane else 0 for to in range(code.lanes)]
        shifted = [code.shuffle(zero, part, order) for part in (real, imaginary)]
        digit = [
            code.load_everywhere(key, code.after(key_at, part * code.lanes + lane))
            for part in range(2)
        ]
        factors = [(a, b) for a in shifted for b in digit]
        if sums:
            sums = [code.multiply_add(a, b, c) for (a, b), c in zip(factors, sums, strict=True)]
        else:
            sums = [builder.fmul(a, b) for a, b in factors]
    real_real, real_imaginary, imaginary_real, imaginary_imaginary = sums
    product = _Complex(
        code,
        builder.fsub(real_real, imaginary_imaginary),
        builder.fadd(real_imaginary, imaginary_real),
    )
    code.store_complex(total, at, code.load_complex(total, at) + product)
