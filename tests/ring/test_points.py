import numpy as np
import pytest

from mpc_core.ring.exact import ExactRing, degree_for
from mpc_core.ring.points import SHARE_BOUND, share_constants, zero_constants
from mpc_core.sharing.sets import access_sets, sets_of, zero_family
from tests.support.rings import COMMITTEES, SMALL_COMMITTEES


def one_at_zero(ring, members, n, x):
    """Return, by division in the ring, the polynomial that is 1 at 0 and 0 outside a set, at x."""
    value = ring.one
    for j in range(1, n + 1):
        if j not in members:
            point = ring.point(j)
            factor = ring.multiply(ring.sub(point, x), ring.inverse(point))
            value = ring.multiply(value, factor)
    return value


@pytest.mark.parametrize(("n", "t"), SMALL_COMMITTEES)
def test_share_constants_are_the_values_of_f(n, t):
    ring = ExactRing(128, degree_for(n))
    for at in range(1, n + 1):
        sets = sets_of(n, t, at)
        expected = [one_at_zero(ring, a, n, ring.point(at)) for a in sets]
        constants = [ring.element(row) for row in share_constants(at, n, sets).tolist()]
        assert constants == expected


@pytest.mark.parametrize(("n", "t"), SMALL_COMMITTEES)
def test_zero_constants_times_the_point_are_the_values_of_z(n, t):
    ring = ExactRing(128, degree_for(n))
    for at in range(1, n + 1):
        family = tuple(b for b in zero_family(n, t) if at in b)
        point = ring.point(at)
        expected = [ring.multiply(point, one_at_zero(ring, b, n, point)) for b in family]
        constants = zero_constants(at, n, family).tolist()
        assert [ring.multiply(point, ring.element(row)) for row in constants] == expected


def test_centred_limbs_of_all_streams_add_up_in_32_bits():
    largest = max(
        np.abs(share_constants(at, 13, sets_of(13, 4, at))).sum(axis=0).max() for at in range(1, 14)
    )
    assert largest == SHARE_BOUND == 42_097
    assert largest * 2**15 < 2**31


@pytest.mark.parametrize(("n", "t"), COMMITTEES)
def test_constants_of_every_committee_are_within_their_bounds(n, t):
    for at in range(1, n + 1):
        share_constants(at, n, sets_of(n, t, at))
        zero_constants(at, n, tuple(b for b in zero_family(n, t) if at in b))


def test_constants_cannot_be_changed_by_a_caller():
    constants = share_constants(1, 4, sets_of(4, 1, 1))
    with pytest.raises(ValueError, match="read-only"):
        constants[0, 0] = 0


def test_the_polynomials_of_the_access_sets_vanish_outside():
    ring = ExactRing(64, 3)
    for members in access_sets(7, 2):
        for j in range(1, 8):
            is_zero = one_at_zero(ring, members, 7, ring.point(j)) == ring.zero
            assert is_zero == (j not in members)
