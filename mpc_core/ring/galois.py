"""Arrays of elements of GR(2^K, d), K = 64 or 128 (PROTOCOL.md, "Rings and sharings").

An array of `count` elements has shape (count, d) for K = 64 and (count, d, 2), low word first, for
K = 128; an array of words of Z_2^K has shape (count,) or (count, 2). Everything is 64-bit unsigned
and little-endian, operations wrap mod 2^K.

Security: no running time and no memory address depends on a coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.exact import DEGREES, Element, ExactRing, degree_for, multiply_integers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "Ring",
    "RingArray",
    "WordArray",
    "degree_for",
    "from_integers",
    "multiply_add",
    "scale",
    "to_integers",
]

RingArray = NDArray[np.uint64]
"""Elements of GR(2^K, d): shape (count, d) or (count, d, 2)."""

WordArray = NDArray[np.uint64]
"""Words of Z_2^K: shape (count,) or (count, 2)."""

NARROW, WIDE = 64, 128


@dataclass(frozen=True, slots=True)
class Ring:
    """GR(2^bits, degree) as arrays of 64-bit words."""

    bits: int
    degree: int

    def __post_init__(self) -> None:
        if self.bits not in {NARROW, WIDE} or self.degree not in DEGREES:
            raise CeremonyError(
                "RF-RING-005",
                "arrays of this Galois ring are not supported",
                expected=f"64 or 128 bits, a degree among {DEGREES}",
                found=f"{self.bits} bits, degree {self.degree}",
            )

    @property
    def exact(self) -> ExactRing:
        """The same ring in Python integers."""
        return ExactRing(self.bits, self.degree)

    @property
    def word_shape(self) -> tuple[int, ...]:
        """Shape of one word of Z_2^K."""
        return () if self.bits == NARROW else (2,)

    def shape(self, count: int) -> tuple[int, ...]:
        """Return the shape of `count` elements."""
        return (count, self.degree, *self.word_shape)

    def zeros(self, count: int) -> RingArray:
        """Return `count` elements 0."""
        return np.zeros(self.shape(count), np.uint64)

    def zero_words(self, count: int) -> WordArray:
        """Return `count` words 0."""
        return np.zeros((count, *self.word_shape), np.uint64)

    def add(self, a: RingArray, b: RingArray) -> RingArray:
        """Return a + b, for elements or words of equal shape."""
        _check(a.shape == b.shape)
        if self.bits == NARROW:
            return a + b
        from mpc_core.kernels import words  # noqa: PLC0415 kernels compile when imported

        out = np.empty_like(a, order="C")
        words.add_arrays(_pairs(a), _pairs(b), _pairs(out))
        return out

    def subtract(self, a: RingArray, b: RingArray) -> RingArray:
        """Return a - b, for elements or words of equal shape."""
        _check(a.shape == b.shape)
        if self.bits == NARROW:
            return a - b
        from mpc_core.kernels import words  # noqa: PLC0415 kernels compile when imported

        out = np.empty_like(a, order="C")
        words.sub_arrays(_pairs(a), _pairs(b), _pairs(out))
        return out

    def negate(self, a: RingArray) -> RingArray:
        """Return -a, for elements or words."""
        return self.subtract(np.zeros_like(a), a)

    def scale(self, a: RingArray, words: WordArray) -> RingArray:
        """Return every element times the word of Z_2^K at its position."""
        _check(a.shape == self.shape(len(words)))
        if self.bits == NARROW:
            return a * words[:, np.newaxis]
        from mpc_core.kernels import galois  # noqa: PLC0415 kernels compile when imported

        out = np.empty(a.shape, np.uint64)
        galois.scale_128(np.ascontiguousarray(a), np.ascontiguousarray(words), out)
        return out

    def multiply(self, a: RingArray, b: RingArray) -> RingArray:
        """Return a * b; a single element `b` multiplies every element of `a`."""
        out = np.zeros(a.shape, np.uint64)
        self.multiply_add(a, b, out)
        return out

    def multiply_add(self, a: RingArray, b: RingArray, out: RingArray) -> None:
        """Add a * b to `out` in place; a single element `b` serves every element of `a`.

        Args:
            a: elements, shape of `count` elements.
            b: as many elements, or one.
            out: as `a`, C-contiguous.
        """
        from mpc_core.kernels import galois  # noqa: PLC0415 kernels compile when imported

        kernel = galois.multiply_add_64 if self.bits == NARROW else galois.multiply_add_128
        _check(a.shape == out.shape == self.shape(len(a)))
        _check(len(b) in {1, len(a)} and b.shape == self.shape(len(b)))
        kernel(np.ascontiguousarray(a), np.ascontiguousarray(b), out)

    def square(self, a: RingArray) -> RingArray:
        """Return a * a."""
        return self.multiply(a, a)

    def combine(self, factors: Iterable[Element], vectors: Iterable[RingArray]) -> RingArray:
        """Return sum_k factors_k * vectors_k for constant elements and vectors of equal length.

        With the factors of `ExactRing.lagrange_at_zero` this interpolates every position at 0.
        """
        total: RingArray | None = None
        for factor, vector in zip(factors, vectors, strict=True):
            if total is None:
                total = np.zeros(vector.shape, np.uint64)
            self.multiply_add(vector, self.from_exact([factor]), total)
        if total is None:
            raise ValueError("nothing to combine")
        return total

    def reduce(self, a: RingArray, bits_kept: int) -> RingArray:
        """Return elements or words with each coefficient reduced mod 2^bits_kept, same shape."""
        if not 0 <= bits_kept <= self.bits:
            raise ValueError("more bits kept than there are")
        mask = self.words_from_integers([(1 << bits_kept) - 1])[0]
        reduced: RingArray = a & mask
        return reduced

    def reduce_to_64(self, a: RingArray) -> RingArray:
        """Return elements or words mod 2^64 as an array of the ring with K = 64."""
        return a if self.bits == NARROW else np.ascontiguousarray(a[..., 0])

    def from_exact(self, elements: Sequence[Element]) -> RingArray:
        """Return the array of these elements."""
        integers = np.array([tuple(map(int, e)) for e in elements], dtype=object)
        return from_integers(integers.reshape(len(elements), self.degree), self.bits)

    def to_exact(self, a: RingArray) -> list[Element]:
        """Return the elements of an array in Python integers."""
        return [tuple(element) for element in to_integers(a, self.bits).tolist()]

    def words_from_integers(self, integers: Sequence[int]) -> WordArray:
        """Return the array of these integers mod 2^K."""
        return from_integers(np.array(list(integers), dtype=object), self.bits)

    def words_to_integers(self, words: WordArray) -> list[int]:
        """Return the words of an array as integers."""
        integers: list[int] = to_integers(words, self.bits).tolist()
        return integers


def to_integers(array: NDArray[np.uint64], bits: int) -> NDArray[np.object_]:
    """Return words of Z_2^bits, in any arrangement, as Python integers."""
    wide = array.astype(object)
    return wide if bits == NARROW else wide[..., 0] + (wide[..., 1] << NARROW)


def from_integers(integers: NDArray[np.object_], bits: int) -> NDArray[np.uint64]:
    """Return Python integers mod 2^bits, in any arrangement, as words."""
    low: NDArray[np.uint64] = (integers & ((1 << NARROW) - 1)).astype(np.uint64)
    if bits == NARROW:
        return low
    high = ((integers >> NARROW) & ((1 << NARROW) - 1)).astype(np.uint64)
    return np.stack((low, high), axis=-1)


def multiply_add(a: RingArray, b: RingArray, out: RingArray) -> None:
    """Add a * b to `out`: the reference of the kernels `multiply_add_64` and `multiply_add_128`."""
    bits = _bits_of(a)
    products = np.array(
        [
            multiply_integers(x, y)
            for x, y in np.broadcast(*(_rows(to_integers(v, bits)) for v in (a, b)))
        ],
        dtype=object,
    ).reshape(a.shape[:2])
    out[...] = from_integers(to_integers(out, bits) + products, bits)


def scale(a: RingArray, words: WordArray, out: RingArray) -> None:
    """Write a times words to `out`: the reference of the kernel `scale_128`."""
    bits = _bits_of(a)
    products = to_integers(a, bits) * to_integers(words, bits)[:, np.newaxis]
    out[...] = from_integers(products, bits)


def _check(shapes_fit: bool) -> None:
    """Refuse operands that do not fit: kernels do not look at the bounds of an array."""
    if not shapes_fit:
        raise ValueError("operands of different shapes")


def _bits_of(a: RingArray) -> int:
    return NARROW if a.ndim == len(("count", "d")) else WIDE


def _rows(integers: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return an array of elements as a one-dimensional array of tuples."""
    rows = np.empty(len(integers), dtype=object)
    rows[:] = [tuple(row) for row in integers]
    return rows


def _pairs(array: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(array).reshape(-1, 2)
