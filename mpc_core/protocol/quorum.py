"""How many operators are enough for what (PROTOCOL.md, "Model"), and which sets of them hold a key.

n operators, of whom at most t < n/3 are crashed, slow or malicious. Two sets of n-t share more
than t operators, hence an honest one; 2t+1 points fix a polynomial of degree 2t.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from mpc_core.protocol.plan import Plan

__all__ = ["AccessSet", "Health", "Quorum", "access_sets"]

AccessSet = tuple[int, ...]
"""The n-t members of a set A, ascending."""


class Health(StrEnum):
    """How many operators take part."""

    OPTIMAL = "Optimal"
    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    UNHEALTHY = "Unhealthy"


@dataclass(frozen=True, slots=True)
class Quorum:
    """The numbers n and t and what follows from them."""

    count: int
    threshold: int

    @classmethod
    def of(cls, plan: Plan) -> Quorum:
        """Return the quorum of a plan."""
        return cls(plan.count, plan.threshold)

    @property
    def n_minus_t(self) -> int:
        """Signatures of a statement; members of a set A; points of a degree-t opening."""
        return self.count - self.threshold

    @property
    def two_t_plus_one(self) -> int:
        """Points that fix a polynomial of degree 2t."""
        return 2 * self.threshold + 1

    @property
    def everyone(self) -> tuple[int, ...]:
        """All operator indices, ascending."""
        return tuple(range(1, self.count + 1))

    def signed_by(self, signers: AbstractSet[int]) -> bool:
        """Tell whether these signers make a statement."""
        return len(signers) >= self.n_minus_t

    def health(self, present: int) -> Health:
        """Return the word for so many operators that are present."""
        if present >= self.count:
            return Health.OPTIMAL
        if present >= self.n_minus_t:
            return Health.HEALTHY
        return Health.DEGRADED if present > self.threshold else Health.UNHEALTHY


@cache
def access_sets(quorum: Quorum) -> tuple[AccessSet, ...]:
    """Return every set A of n-t operators in canonical (lexicographic) order."""
    return tuple(combinations(quorum.everyone, quorum.n_minus_t))
