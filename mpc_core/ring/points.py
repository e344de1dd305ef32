"""Small-integer constants of the sharings at the operators' points (PROTOCOL.md, "PRSS keys").

alpha_i/alpha_j = xi^(i-j) has tiny integer coefficients, so every constant here is computed once in
Z[X]/F and holds for every K. Sums over sets of constants times 32-bit limbs stay within int64
(`ACCUMULATOR_BOUND`); those of the PRSS times centred 16-bit limbs even within int32.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.ring.exact import degree_for, multiply_integers, xi_power

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["share_constants", "zero_constants"]

ACCUMULATOR_BOUND = 2**31 - 1
"""Largest sum of |constants| of one coordinate for which sums over 32-bit limbs fit int64."""

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
    assert np.abs(constants).sum(axis=0, dtype=np.int64).max(initial=0) <= ACCUMULATOR_BOUND
    constants.flags.writeable = False
    return constants
