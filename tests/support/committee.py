"""A committee in memory: every operator's batch keys, and a dealer who may look at everything."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpc_core.ring.galois import Ring, degree_for
from mpc_core.sharing.prss import StreamKey, batch_key
from mpc_core.sharing.sets import sets_of
from tests.support.openings import interpolated

if TYPE_CHECKING:
    from mpc_core.ring.galois import RingArray
    from mpc_core.sharing.opening import ElementGroups

PLAN_HASH = hashlib.sha256(b"plan").digest()


@dataclass(frozen=True, slots=True)
class Committee:
    """n operators of which t may lie; the keys follow from the seed."""

    n: int
    t: int
    seed: str = "committee"

    @property
    def operators(self) -> range:
        return range(1, self.n + 1)

    def ring(self, bits: int) -> Ring:
        return Ring(bits, degree_for(self.n))

    def keys(self, at: int, batch: str, stream: str, bits: int) -> dict[tuple[int, ...], StreamKey]:
        """Return the batch keys of one operator."""
        return {
            members: batch_key(
                hashlib.sha256(f"{self.seed}{members}".encode()).digest(),
                batch.encode(),
                stream,
                bits,
            )
            for members in sets_of(self.n, self.t, at)
        }

    def open_double(
        self, vectors: dict[int, RingArray], groups: ElementGroups, ring: Ring, first: int = 1
    ) -> RingArray:
        """Decode from 2t+1 operators, counted cyclically from `first`."""
        chosen = [(first - 1 + k) % self.n + 1 for k in range(2 * self.t + 1)]
        return interpolated({i: vectors[i] for i in chosen}, groups, ring)

    def reveal(self, shares: dict[int, RingArray], ring: Ring) -> list[tuple[int, ...]]:
        """Return the secrets of degree-t shares, refusing shares that are not of degree t."""
        exact = ring.exact
        values = {i: ring.to_exact(share) for i, share in shares.items()}
        assert exact.vectors_lie_on_polynomial(values, self.t)
        return list(exact.vector_at_zero(values, self.t))
