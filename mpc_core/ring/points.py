"""Small-integer constants of the sharings at the operators' points (PROTOCOL.md, "PRSS keys").

alpha_i/alpha_j = xi^(i-j) has tiny integer coefficients, so every constant here is computed once in
Z[X]/F and holds for every K. Sums over sets of constants times centred 32-bit limbs are exact in
double precision (`EXACT_BOUND`); those of the PRSS times centred 16-bit limbs even fit int32, and
those of the zero masks do in few `pair_runs`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.ring.exact import degree_for, multiply_integers, xi_power

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["pair_runs", "quartet_places", "share_constants", "zero_constants"]

EXACT_BOUND = 2**22
"""Largest sum of |constants| of one coordinate for which sums over centred 32-bit limbs, of at most
31 bits and a sign, are exact in double precision: 2^22 * 2^31 = 2^53."""

RUN_BOUND = 2**16 - 1
"""Largest sum of |constants| of one coordinate for which sums over centred 16-bit limbs fit int32:
(2^16 - 1) * 2^15 < 2^31."""

QUARTET_DIFFERENCES = (-3, -2, -1, 1, 2, 3)
"""What i - j can be for two of four operators."""

SHARE_BOUND = 42_097
"""Largest sum of |f_A(alpha_i)| of one coordinate in the design range, reached at n = 13, t = 4."""


@lru_cache(maxsize=64)
def share_constants(
    at: int, operators: int, access_sets: tuple[tuple[int, ...], ...]
) -> NDArray[np.int32]:
    """Return f_A(alpha_at) = prod over j outside A of (1 - xi^(at-j)) for each access set A.

    Args:
        at: the operator, a member of every set.
        operators: n.
        access_sets: ascending tuples of indices 1..n.

    Returns:
        Constants, shape (number of sets, d), read-only.
    """
    constants = _vanishing(at, operators, access_sets)
    assert np.abs(constants).sum(axis=0).max(initial=0) <= SHARE_BOUND
    return constants


@lru_cache(maxsize=64)
def zero_constants(
    at: int, operators: int, family: tuple[tuple[int, ...], ...]
) -> NDArray[np.int32]:
    """Return z_B(alpha_at)/alpha_at = prod over j outside B of (1 - xi^(at-j)) for each set B.

    The common factor alpha_at is left out: it is multiplied once into the sum over B, not into
    every constant, which keeps the constants within 16 bits up to n = 13.

    Args:
        at: the operator, a member of every set.
        operators: n.
        family: ascending tuples of indices 1..n.

    Returns:
        Constants, shape (number of sets, d), read-only.
    """
    constants = _vanishing(at, operators, family)
    assert np.abs(constants).max(initial=0) < 2**15
    return constants


def pair_runs(constants: NDArray[np.int32]) -> tuple[int, ...]:
    """Cut the streams of a sum into runs whose sums over centred 16-bit limbs fit int32.

    Args:
        constants: a constant for each stream, shape (streams, d), within 16 bits.

    Returns:
        For each run, where it ends, counted in pairs of streams.
    """
    ends, total = [], np.zeros(constants.shape[1], np.int64)
    for pair in range(0, len(constants), 2):
        sizes = np.abs(constants[pair : pair + 2]).sum(axis=0, dtype=np.int64)
        assert sizes.max(initial=0) <= RUN_BOUND
        if (total + sizes).max(initial=0) > RUN_BOUND:
            ends.append(pair // 2)
            total[:] = 0
        total += sizes
    ends.append(-(-len(constants) // 2))
    return tuple(ends)


def quartet_places(constants: NDArray[np.int32]) -> tuple[int, ...] | None:
    """Return where the streams of a sum stand among the six of n = 4, t = 1.

    There the constant of the set that lacks operator j is 1 - xi^(i-j) at operator i.

    Args:
        constants: a constant for each stream, shape (streams, d).

    Returns:
        For each stream, the place of i - j in `QUARTET_DIFFERENCES`; None if these are other sums.
    """
    places = _quartet_constants()
    rows = [tuple(row) for row in constants.tolist()]
    if len(set(rows)) < len(rows) or not all(row in places for row in rows):
        return None
    return tuple(places[row] for row in rows)


@lru_cache(maxsize=1)
def _quartet_constants() -> dict[tuple[int, ...], int]:
    degree = degree_for(4)
    one = xi_power(0, degree)
    powers = (xi_power(difference, degree) for difference in QUARTET_DIFFERENCES)
    rows = (tuple(x - y for x, y in zip(one, power, strict=True)) for power in powers)
    return {row: place for place, row in enumerate(rows)}


def _vanishing(at: int, operators: int, sets: Iterable[tuple[int, ...]]) -> NDArray[np.int32]:
    """Return the values at alpha_at of the polynomials that are 1 at 0 and vanish outside a set."""
    degree = degree_for(operators)
    one = xi_power(0, degree)
    rows = []
    for members in sets:
        product = one
        for j in range(1, operators + 1):
            if j not in members:
                power = xi_power(at - j, degree)
                factor = tuple(x - y for x, y in zip(one, power, strict=True))
                product = multiply_integers(product, factor)
        rows.append(product)
    constants = np.array(rows, dtype=np.int32).reshape(-1, degree)
    assert np.abs(constants).sum(axis=0, dtype=np.int64).max(initial=0) <= EXACT_BOUND
    constants.flags.writeable = False
    return constants
