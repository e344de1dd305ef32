from hashlib import sha256
from itertools import combinations

import pytest

from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.exact import ExactRing, degree_for
from mpc_core.sharing.sets import (
    access_sets,
    sets_containing,
    sets_of,
    spans_every_coalition,
    zero_family,
)
from tests.support.rings import COMMITTEES, REFERENCE_COMMITTEES

FAMILIES = {
    (4, 1): (4, "9b0471f6db4b4e27"),
    (5, 1): (5, "42da0858f1223ed8"),
    (6, 1): (6, "045ef8cbc740ed01"),
    (7, 1): (7, "ad9a17401c008ac6"),
    (7, 2): (17, "97b138cea5d9a428"),
    (8, 1): (8, "bc17e2a928dfe6ca"),
    (8, 2): (21, "4f4ae8655310cf8f"),
    (9, 1): (9, "52ad65ada5d19f92"),
    (9, 2): (25, "5c34dfcb1695bd5c"),
    (10, 1): (10, "be325f0bebce9cfa"),
    (10, 2): (34, "75ad15967f7840b9"),
    (10, 3): (46, "410ff2d2614cad08"),
    (11, 1): (11, "a45a0cba02aa5ae1"),
    (11, 2): (41, "6dd8684522e5f0e2"),
    (11, 3): (64, "aad2456eb24e569c"),
    (12, 1): (12, "412deef1418464bb"),
    (12, 2): (47, "71e9a68313f610b7"),
    (12, 3): (83, "4753a342065766d2"),
    (13, 1): (13, "ca50dbb5a9ee6f6f"),
    (13, 2): (56, "776c4853cd794319"),
    (13, 3): (107, "639c021f1b9c9876"),
    (13, 4): (111, "8b1570cad4ecdfc0"),
}
"""Size and digest of each family: another one would change every mask."""


def digest(family):
    return sha256("\n".join(map(str, family)).encode()).hexdigest()[:16]


def rank(rows, ring):
    """Return the rank of a matrix over the residue field, by elimination."""
    rows, found = [list(row) for row in rows], 0
    for column in range(len(rows[0])):
        pivot = next((r for r in rows if r[column] != ring.zero), None)
        if pivot is None:
            continue
        rows.remove(pivot)
        found += 1
        inverse = ring.inverse(pivot[column])
        for row in rows:
            factor = ring.multiply(row[column], inverse)
            row[:] = [
                ring.sub(x, ring.multiply(factor, p)) for x, p in zip(row, pivot, strict=True)
            ]
    return found


def z_values(members, n, ring):
    """Return z_B at every operator."""
    values = []
    for i in range(1, n + 1):
        value = ring.point(i)
        for j in range(1, n + 1):
            if j not in members:
                value = ring.multiply(value, ring.sub(ring.one, ring.xi_power(i - j)))
        values.append(value)
    return values


def test_access_sets_are_in_lexicographic_order():
    assert access_sets(4, 1) == ((1, 2, 3), (1, 2, 4), (1, 3, 4), (2, 3, 4))
    assert len(access_sets(13, 4)) == 715
    assert list(access_sets(13, 4)) == sorted(access_sets(13, 4))


@pytest.mark.parametrize(("n", "t"), COMMITTEES)
def test_every_coalition_of_t_misses_exactly_one_key(n, t):
    complements = [set(range(1, n + 1)) - set(a) for a in access_sets(n, t)]
    assert sorted(map(sorted, complements)) == [list(c) for c in combinations(range(1, n + 1), t)]


def test_an_operator_knows_the_sets_that_contain_it():
    assert sets_of(4, 1, 2) == ((1, 2, 3), (1, 2, 4), (2, 3, 4))
    assert len(sets_of(13, 4, 7)) == 495
    assert sets_containing(13, 4, (1, 2, 3, 4, 5, 6, 7, 8, 9)) == ((1, 2, 3, 4, 5, 6, 7, 8, 9),)
    assert len(sets_containing(13, 4, (2, 4, 6, 8, 10, 12))) == 35


@pytest.mark.parametrize(("n", "t"), [(3, 1), (12, 4), (14, 4), (4, 0)])
def test_committees_outside_the_design_range_are_refused(n, t):
    with pytest.raises(CeremonyError, match="RF-RING-004"):
        access_sets(n, t)
    with pytest.raises(CeremonyError, match="RF-RING-004"):
        zero_family(n, t)


@pytest.mark.parametrize(("n", "t"), COMMITTEES)
def test_the_zero_family_spans_every_coalition(n, t):
    family = zero_family(n, t)
    assert {len(members) for members in family} == {n - 2 * t + 1}
    assert list(family) == sorted(set(family))
    assert spans_every_coalition(n, t, family)


@pytest.mark.parametrize(("n", "t"), REFERENCE_COMMITTEES[:3])
def test_the_zero_family_has_full_rank_at_the_operators_points(n, t):
    ring = ExactRing(1, degree_for(n))
    values = {members: z_values(members, n, ring) for members in zero_family(n, t)}
    for coalition in combinations(range(1, n + 1), t):
        rows = [row for members, row in values.items() if set(coalition).isdisjoint(members)]
        assert rank(rows, ring) == t


@pytest.mark.parametrize(("n", "t"), REFERENCE_COMMITTEES)
def test_a_family_without_enough_sets_outside_a_coalition_spans_too_little(n, t):
    coalition = set(range(1, t + 1))
    family = zero_family(n, t)
    outside = [members for members in family if coalition.isdisjoint(members)]
    kept = outside[: t - 1]
    smaller = tuple(m for m in family if m not in outside or m in kept)
    assert not spans_every_coalition(n, t, smaller)


def test_a_family_belongs_to_its_points():
    swapped = {**{i: i for i in range(1, 14)}, 1: 2, 2: 1}
    moved = tuple(tuple(sorted(swapped[i] for i in b)) for b in zero_family(13, 4))
    assert not spans_every_coalition(13, 4, moved)


@pytest.mark.parametrize(("n", "t"), COMMITTEES)
def test_the_zero_family_never_changes(n, t):
    family = zero_family(n, t)
    assert (len(family), digest(family)) == FAMILIES[n, t]
