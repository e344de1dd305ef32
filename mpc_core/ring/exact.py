"""GR(2^K, d) in Python integers: the reference of the kernels, the arithmetic of the log's rules.

GR(2^K, d) = Z_2^K[X]/F with F = X^3+X+1 (d = 3) or X^4+X+1 (d = 4), and Z_2^K itself (d = 1, for
known answers). An element is the tuple of its d coefficients, lowest first. With xi = X mod F,
operator i = 1..n evaluates at alpha_i = xi^(i-1); index 0 stands for the point 0, where the secret
sits. All alpha_i and their differences are units, so any k+1 points determine a polynomial of
degree k (PROTOCOL.md, "Rings and sharings"). Standard library only.

Security: used on public values and in tests; running times depend on the operands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd, lcm
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "DEGREES",
    "Element",
    "ExactRing",
    "degree_for",
    "lagrange_integers",
    "multiply_integers",
    "xi_power",
]

Element = tuple[int, ...]

DEGREES = (1, 3, 4)
"""Supported extension degrees d."""

SMALL_COMMITTEE = 7
"""Most operators whose points are distinct and non-zero in F_2^3."""


def degree_for(operators: int) -> int:
    """Return the extension degree d used by this number of operators: 3 up to 7, else 4."""
    return 3 if operators <= SMALL_COMMITTEE else 4


def multiply_integers(a: Sequence[int], b: Sequence[int]) -> Element:
    """Multiply in Z[X]/F, coefficients unreduced; d is the common length of `a` and `b`."""
    degree = len(a)
    product = [0] * (2 * degree - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] += x * y
    for k in range(2 * degree - 2, degree - 1, -1):  # X^d = -X - 1
        product[k - degree] -= product[k]
        product[k - degree + 1] -= product[k]
    return tuple(product[:degree])


@lru_cache(maxsize=256)
def xi_power(exponent: int, degree: int) -> Element:
    """Return xi^exponent in Z[X]/F; xi is a unit there: its inverse is -(xi^(d-1) + 1)."""
    one = (1,) + (0,) * (degree - 1)
    if degree == 1 or exponent == 0:
        return one
    if exponent > 0:
        xi = (0, 1) + (0,) * (degree - 2)
        return multiply_integers(xi_power(exponent - 1, degree), xi)
    inverse = (-1,) + (0,) * (degree - 2) + (-1,)
    return multiply_integers(xi_power(exponent + 1, degree), inverse)


def lagrange_integers(
    points: tuple[int, ...], at: int, degree: int
) -> tuple[tuple[Element, ...], int]:
    """Return Lagrange constants that hold for every K: small integer elements over one denominator.

    Args:
        points: indices of operators.
        at: index where the polynomial is wanted, 0 for the secret.
        degree: extension degree d.

    Returns:
        Elements M_k of Z[X]/F and an odd integer N with N f(alpha_at) = sum_k M_k f(alpha_k) for f
        of degree < |points|.
    """
    constants, norms = [], []
    for k in points:
        constant, norm = xi_power(0, degree), 1
        for j in points:
            if j != k:
                cofactor, factor = _cofactor(_difference(k, j, degree))
                constant = multiply_integers(constant, _difference(at, j, degree))
                constant = multiply_integers(constant, cofactor)
                norm *= factor
        common = gcd(norm, *constant)
        constants.append(tuple(c // common for c in constant))
        norms.append(norm // common)
    denominator = lcm(*norms)
    scales = [denominator // norm for norm in norms]
    return (
        tuple(
            tuple(scale * c for c in constant)
            for scale, constant in zip(scales, constants, strict=True)
        ),
        denominator,
    )


def _difference(i: int, j: int, degree: int) -> Element:
    """Return alpha_i - alpha_j over the integers."""
    a = xi_power(i - 1, degree) if i else (0,) * degree
    return tuple(x - y for x, y in zip(a, xi_power(j - 1, degree), strict=True))


def _cofactor(a: Element) -> tuple[Element, int]:
    """Return an element b and an integer N with a b = N (Faddeev and LeVerrier's iteration)."""
    degree = len(a)
    b = xi_power(0, degree)
    for k in range(1, degree):
        product = multiply_integers(a, b)
        trace = sum(multiply_integers(product, xi_power(c, degree))[c] for c in range(degree))
        b = (product[0] - trace // k, *product[1:])
    return b, multiply_integers(a, b)[0]


@dataclass(frozen=True, slots=True)
class ExactRing:
    """GR(2^bits, degree); `bits` may be any K >= 1."""

    bits: int
    degree: int

    def __post_init__(self) -> None:
        if self.bits < 1 or self.degree not in DEGREES:
            raise CeremonyError(
                "RF-RING-001",
                "this Galois ring is not supported",
                expected=f"at least one bit, a degree among {DEGREES}",
                found=f"{self.bits} bits, degree {self.degree}",
            )

    @property
    def zero(self) -> Element:
        """The element 0."""
        return (0,) * self.degree

    @property
    def one(self) -> Element:
        """The element 1."""
        return (1, *self.zero[1:])

    def element(self, coefficients: Iterable[int]) -> Element:
        """Return the element with these integer coefficients, each reduced mod 2^K."""
        mask = (1 << self.bits) - 1
        return tuple(coefficient & mask for coefficient in coefficients)

    def add(self, a: Element, b: Element) -> Element:
        """Return a + b."""
        return self.element(x + y for x, y in zip(a, b, strict=True))

    def sub(self, a: Element, b: Element) -> Element:
        """Return a - b."""
        return self.element(x - y for x, y in zip(a, b, strict=True))

    def negate(self, a: Element) -> Element:
        """Return -a."""
        return self.element(-x for x in a)

    def scale(self, a: Element, factor: int) -> Element:
        """Return a times an integer."""
        return self.element(x * factor for x in a)

    def multiply(self, a: Element, b: Element) -> Element:
        """Return a * b."""
        return self.element(multiply_integers(a, b))

    def power(self, a: Element, exponent: int) -> Element:
        """Return a to a non-negative power."""
        result, square = self.one, a
        while exponent:
            if exponent & 1:
                result = self.multiply(result, square)
            square = self.multiply(square, square)
            exponent >>= 1
        return result

    def inverse(self, a: Element) -> Element:
        """Return 1/a for a unit a: the inverse in the residue field, lifted by Newton's iteration.

        Raises:
            CeremonyError: RF-RING-002 if every coefficient of `a` is even.
        """
        if not any(x & 1 for x in a):
            raise CeremonyError(
                "RF-RING-002",
                "an element that is not a unit has no inverse",
                expected="an odd coefficient",
                found="even coefficients only",
            )
        x = self.power(a, 2**self.degree - 2)
        two = self.scale(self.one, 2)
        correct_bits = 1
        while correct_bits < self.bits:
            x = self.multiply(x, self.sub(two, self.multiply(a, x)))
            correct_bits *= 2
        return x

    def xi_power(self, exponent: int) -> Element:
        """Return xi^exponent."""
        return self.element(xi_power(exponent, self.degree))

    def point(self, index: int) -> Element:
        """Return where operator `index` evaluates, alpha_i = xi^(i-1); index 0 is the point 0."""
        return self.xi_power(index - 1) if index else self.zero

    def lagrange(self, points: tuple[int, ...], at: int = 0) -> tuple[Element, ...]:
        """Return the L_k with f(alpha_at) = sum_k L_k f(alpha_k) for f of degree < |points|."""
        return _lagrange(self, points, at)

    def lagrange_at_zero(self, points: tuple[int, ...]) -> tuple[Element, ...]:
        """Return the L_k with f(0) = sum_k L_k f(alpha_k) for f of degree < |points|."""
        return _lagrange(self, points, 0)

    def combine(self, factors: Iterable[Element], elements: Iterable[Element]) -> Element:
        """Return sum_k factors_k * elements_k."""
        pairs = zip(factors, elements, strict=True)
        products = (multiply_integers(factor, element) for factor, element in pairs)
        return self.element(map(sum, zip(self.zero, *products, strict=True)))

    def value_at_zero(self, values: Mapping[int, Element], degree: int) -> Element:
        """Return f(0) for the f of this degree through the first degree+1 values, by index.

        Raises:
            CeremonyError: RF-RING-003 if there are fewer values than that.
        """
        return self.vector_at_zero({i: (value,) for i, value in values.items()}, degree)[0]

    def lies_on_polynomial(self, values: Mapping[int, Element], degree: int) -> bool:
        """Tell whether one polynomial of at most this degree takes these values, by index."""
        return self.vectors_lie_on_polynomial({i: (value,) for i, value in values.items()}, degree)

    def vector_at_zero(
        self, vectors: Mapping[int, Sequence[Element]], degree: int
    ) -> tuple[Element, ...]:
        """Do `value_at_zero` for every position of equally long vectors."""
        points = tuple(sorted(vectors))[: degree + 1]
        if len(points) <= degree:
            raise CeremonyError(
                "RF-RING-003",
                "too few values to interpolate",
                expected=f"{degree + 1} operators",
                found=f"{len(points)}",
            )
        return self._evaluate(vectors, points, 0)

    def vectors_lie_on_polynomial(
        self, vectors: Mapping[int, Sequence[Element]], degree: int
    ) -> bool:
        """Do `lies_on_polynomial` for every position of equally long vectors."""
        indices = tuple(sorted(vectors))
        points = indices[: degree + 1]
        return all(
            self._evaluate(vectors, points, index)
            == tuple(self.element(value) for value in vectors[index])
            for index in indices[degree + 1 :]
        )

    def _evaluate(
        self, vectors: Mapping[int, Sequence[Element]], points: tuple[int, ...], at: int
    ) -> tuple[Element, ...]:
        factors = self.lagrange(points, at)
        columns = zip(*(vectors[index] for index in points), strict=True)
        return tuple(self.combine(factors, column) for column in columns)


@lru_cache(maxsize=4096)
def _lagrange(ring: ExactRing, points: tuple[int, ...], at: int) -> tuple[Element, ...]:
    x = ring.point(at)
    factors = []
    for k in points:
        numerator = denominator = ring.one
        for j in points:
            if j != k:
                numerator = ring.multiply(numerator, ring.sub(x, ring.point(j)))
                difference = ring.sub(ring.point(k), ring.point(j))
                denominator = ring.multiply(denominator, difference)
        factors.append(ring.multiply(numerator, ring.inverse(denominator)))
    return tuple(factors)
