"""Openings of decoded vectors, coefficient by coefficient: what the fast ones are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpc_core.sharing.opening import reduce_groups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.sharing.opening import ElementGroups


def interpolated(vectors: Mapping[int, RingArray], groups: ElementGroups, ring: Ring) -> RingArray:
    """Return the values at 0 of the polynomials through all vectors, by index."""
    points = tuple(sorted(vectors))
    factors = ring.exact.lagrange_at_zero(points)
    return reduce_groups(ring.combine(factors, (vectors[i] for i in points)), groups, ring)
