"""Interpolation of encoded vectors: small-integer matrices, applied in place, span by span.

For the points of some operators there are integer elements M_k and an odd N with
N f(alpha_j) = sum_k M_k f(alpha_k), whatever K is. A sum of small multiples and one multiplication
by 1/N therefore interpolate an element at 0, and a sum alone tells whether a further vector lies on
the polynomial: N f(alpha_j) - N V_j = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.ring.exact import lagrange_integers, multiply_integers
from mpc_core.sharing.spans import bytes_of, spans_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from mpc_core.ring.exact import Element
    from mpc_core.ring.galois import Ring
    from mpc_core.sharing.opening import Buffer, ElementGroups
    from mpc_core.sharing.spans import Span

__all__ = ["Combined", "interpolate"]

ENTRY_SUM = 1 << 31
"""Sums of |entries| of a row stay below this, so that sums over 32-bit limbs fit int64."""


@dataclass(frozen=True, slots=True)
class Combined:
    """What a span of some vectors combines to.

    Attributes:
        span: where it lies.
        value: the encoded values at 0; overwritten when the next span is asked for.
        canonical: whether every coefficient of every vector has at most K - i bits; if not, the
            rest means nothing.
        fits: whether every vector lies on the polynomial of the first ones.
    """

    span: Span
    value: memoryview
    canonical: bool
    fits: bool


def interpolate(
    vectors: Mapping[int, Buffer], degree: int, groups: ElementGroups, ring: Ring
) -> Iterator[Combined]:
    """Interpolate encoded vectors, by index, at 0, and test that they lie on one polynomial.

    Args:
        vectors: at least degree + 1 encoded vectors; the first degree + 1 determine the polynomial.
        degree: degree of the polynomial.
        groups: weight and number of elements of each group.
        ring: GR(2^K, d).

    Yields:
        Value and findings of each span, in order.

    Raises:
        CeremonyError: RF-BATCH-002 if a vector has the wrong length.

    Security: nothing is read outside the vectors. Time and addresses do not depend on them.
    """
    from mpc_core.kernels import decode  # noqa: PLC0415 kernels compile when imported

    points = tuple(sorted(vectors))
    data = [bytes_of(vectors[index], groups, ring) for index in points]
    matrix = _matrix(points, degree, ring.degree)
    words, inverse = ring.bits // 64, matrix.inverse(ring)
    spans = tuple(spans_of(groups, ring))
    out = np.empty(max((s.stop - s.start for s in spans), default=0) + decode.PADDING, np.uint8)
    for span in spans:
        parts = [span.readable(vector, decode.PADDING) for vector in data]
        found = decode.combine(
            np.array([part.ctypes.data for part in parts], np.uint64),
            span.elements,
            ring.degree,
            words,
            span.bits,
            matrix.factors,
            matrix.starts,
            inverse,
            out,
        )
        yield Combined(
            span,
            out.data[: span.stop - span.start],
            canonical=not found & decode.TOO_WIDE,
            fits=not found & decode.OFF_POLYNOMIAL,
        )


@dataclass(frozen=True, slots=True)
class _Matrix:
    """N f(0), then N f(alpha_j) - N V_j for further operators j, as the kernel wants them."""

    denominator: int
    factors: NDArray[np.int64]
    starts: NDArray[np.int64]

    def inverse(self, ring: Ring) -> NDArray[np.uint64]:
        """Return 1/N, shape (words,)."""
        inverse = pow(self.denominator, -1, 1 << ring.bits)
        return ring.words_from_integers([inverse]).reshape(-1)


@lru_cache(maxsize=64)
def _matrix(points: tuple[int, ...], degree: int, ring_degree: int) -> _Matrix:
    from mpc_core.kernels import decode  # noqa: PLC0415 kernels compile when imported

    base, further = points[: degree + 1], points[degree + 1 :]
    constants, denominator = lagrange_integers(base, 0, ring_degree)
    zero = (0,) * ring_degree
    blocks = [_columns([*constants, *(zero for _ in further)])]
    for index in further:
        constants, scale = lagrange_integers(base, index, ring_degree)
        itself = (-scale, *zero[1:])
        blocks.append(_columns([*constants, *(itself if j == index else zero for j in further)]))
    whole = np.array(blocks, np.int64)[:, np.newaxis]
    if _largest_sum(whole) < ENTRY_SUM:
        factors = whole
    else:
        half = 1 << (decode.SPLIT_BITS - 1)
        low = ((whole + half) & (2 * half - 1)) - half
        factors = np.concatenate((low, (whole - low) >> decode.SPLIT_BITS), axis=1)
        assert _largest_sum(factors) < ENTRY_SUM
    return _Matrix(denominator, factors, factors.sum(axis=2) * ENTRY_SUM)


def _columns(constants: list[Element]) -> list[Element]:
    """Return c times xi^l for each constant c and each l: where each input coefficient goes."""
    degree = len(constants[0])
    powers = [tuple(int(k == j) for j in range(degree)) for k in range(degree)]
    return [multiply_integers(constant, power) for constant in constants for power in powers]


def _largest_sum(factors: NDArray[np.int64]) -> int:
    return int(np.abs(factors).sum(axis=2).max())
