"""Which operators know which key: the access sets of the PRSS and the family of the zero masks.

Sets are ascending tuples of operator indices 1..n; families are in lexicographic order, and that
order is the canonical one wherever keys of several sets are listed (PROTOCOL.md, "PRSS keys" and
"Zero masks").
"""

from __future__ import annotations

import hashlib
import heapq
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import DESIGN_RANGE
from mpc_core.ring.exact import ExactRing, degree_for

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "OperatorSet",
    "access_sets",
    "check_committee",
    "search_zero_family",
    "sets_containing",
    "sets_of",
    "spans_every_coalition",
    "zero_family",
]

OperatorSet = tuple[int, ...]

TIE_BREAK = b"ringforge/zero-family/v1"
"""Prefix of the hash that orders sets of equal gain."""


def check_committee(n: int, t: int) -> None:
    """Refuse a committee outside the protocol's range.

    Raises:
        CeremonyError: RF-RING-004 unless t >= 1 and 3t+1 <= n <= 13.
    """
    if not (t >= 1 and 3 * t + 1 <= n <= DESIGN_RANGE):
        raise CeremonyError(
            "RF-RING-004",
            "this committee is outside the range of the protocol",
            expected=f"t >= 1 and 3t+1 <= n <= {DESIGN_RANGE}",
            found=f"n = {n}, t = {t}",
        )


@lru_cache(maxsize=64)
def access_sets(n: int, t: int) -> tuple[OperatorSet, ...]:
    """Return every set A of n-t operators: each has a key that exactly its members know."""
    check_committee(n, t)
    return tuple(combinations(range(1, n + 1), n - t))


def sets_of(n: int, t: int, operator: int) -> tuple[OperatorSet, ...]:
    """Return the access sets that contain `operator`."""
    return sets_containing(n, t, (operator,))


@lru_cache(maxsize=1024)
def sets_containing(n: int, t: int, members: OperatorSet) -> tuple[OperatorSet, ...]:
    """Return the access sets that contain all of these operators."""
    return tuple(a for a in access_sets(n, t) if set(members).issubset(a))


@lru_cache(maxsize=64)
def zero_family(n: int, t: int) -> tuple[OperatorSet, ...]:
    """Return the sets B of n-2t+1 operators whose z_B make up the zero masks.

    Security: `spans_every_coalition` holds for it, so the mask is an exactly uniform sharing of 0
        of degree 2t to any t operators.
    """
    return search_zero_family(n, t)


def spans_every_coalition(n: int, t: int, family: tuple[OperatorSet, ...]) -> bool:
    """Tell whether the zero masks of `family` are uniform to every coalition of t operators.

    For every coalition C, the z_B with B disjoint from C have to span, over the residue field, the
    t-dimensional space of polynomials of degree <= 2t that vanish at 0 and on C; by Nakayama's
    lemma they then generate it over the ring (PROTOCOL.md, "Zero masks").
    """
    spans = _Spans(n, t)
    for members in family:
        spans.take(members)
    return spans.missing == 0


def search_zero_family(n: int, t: int) -> tuple[OperatorSet, ...]:
    """Find a family that spans every coalition by greedy search.

    Each step takes the set that raises the most ranks, among equals the one with the smallest
    hash: lexicographic order would favour some operators and needs more sets. What a set gains only
    falls while the family grows, so one that is still the best after renewing its gain is the best.

    Returns:
        The family in lexicographic order.
    """
    check_committee(n, t)
    spans = _Spans(n, t)
    candidates = [
        (-spans.gain(members), hashlib.sha256(TIE_BREAK + bytes(members)).digest(), members)
        for members in combinations(range(1, n + 1), n - 2 * t + 1)
    ]
    heapq.heapify(candidates)
    family: list[OperatorSet] = []
    while spans.missing:
        _, rank, members = heapq.heappop(candidates)
        renewed = (-spans.gain(members), rank, members)
        if candidates and candidates[0] < renewed:
            heapq.heappush(candidates, renewed)
            continue
        spans.take(members)
        family.append(members)
    return tuple(sorted(family))


class _Spans:
    """For every coalition C, an echelon basis of what the z_B taken so far span on it.

    Divided by their common factor X prod_(j in C) (1 - X/alpha_j), the z_B with B disjoint from C
    are the polynomials prod (1 - X/alpha_j) over the t-1 operators in neither: t coefficients.
    """

    def __init__(self, n: int, t: int) -> None:
        self._n, self._t = n, t
        self._field = _ResidueField(degree_for(n))
        coalitions = list(combinations(range(1, n + 1), t))
        self._bases: dict[OperatorSet, list[list[int]]] = {c: [] for c in coalitions}
        self.missing = t * len(coalitions)

    def gain(self, members: OperatorSet) -> int:
        """Return how many ranks this set would raise."""
        return sum(1 for _, remainder in self._remainders(members) if any(remainder))

    def take(self, members: OperatorSet) -> None:
        """Add this set's polynomial to every basis it is new to."""
        for basis, remainder in self._remainders(members):
            if any(remainder):
                pivot = next(x for x in remainder if x)
                basis.append(self._field.scale(remainder, self._field.inverse(pivot)))
                self.missing -= 1

    def _remainders(self, members: OperatorSet) -> Iterator[tuple[list[list[int]], list[int]]]:
        outside = [j for j in range(1, self._n + 1) if j not in members]
        for coalition in combinations(outside, self._t):
            basis = self._bases[coalition]
            if len(basis) < self._t:
                rest = tuple(j for j in outside if j not in coalition)
                yield basis, self._field.remainder(self._field.polynomial(rest), basis)


class _ResidueField:
    """F_2^d by logarithms to the base xi; elements are bit masks of their coefficients."""

    def __init__(self, degree: int) -> None:
        ring = ExactRing(1, degree)
        self._order = (1 << degree) - 1
        powers = [ring.xi_power(k) for k in range(self._order)]
        self._power = [sum(bit << k for k, bit in enumerate(power)) for power in powers]
        self._log = {value: k for k, value in enumerate(self._power)}
        self._polynomials: dict[OperatorSet, list[int]] = {}

    def multiply(self, a: int, b: int) -> int:
        """Return a * b."""
        return self._power[(self._log[a] + self._log[b]) % self._order] if a and b else 0

    def inverse(self, a: int) -> int:
        """Return 1/a."""
        return self._power[-self._log[a] % self._order]

    def scale(self, vector: list[int], factor: int) -> list[int]:
        """Return the vector times an element."""
        return [self.multiply(x, factor) for x in vector]

    def polynomial(self, roots: OperatorSet) -> list[int]:
        """Return the coefficients of prod (1 - X/alpha_j) over the operators j in `roots`."""
        if roots not in self._polynomials:
            coefficients = [1]
            for j in roots:
                factor = self._power[(1 - j) % self._order]
                shifted = [0, *self.scale(coefficients, factor)]
                coefficients = [x ^ y for x, y in zip([*coefficients, 0], shifted, strict=True)]
            self._polynomials[roots] = coefficients
        return self._polynomials[roots]

    def remainder(self, vector: list[int], basis: list[list[int]]) -> list[int]:
        """Return the vector with the leading position of every basis vector cleared."""
        for row in basis:
            pivot = next(k for k, x in enumerate(row) if x)
            if vector[pivot]:
                cleared = self.scale(row, vector[pivot])
                vector = [x ^ y for x, y in zip(vector, cleared, strict=True)]
        return vector
