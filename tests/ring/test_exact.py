import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.exact import ExactRing, degree_for, multiply_integers, xi_power
from tests.support.rings import random_element, random_elements, seeds

EXACT = [ExactRing(bits, degree) for bits in (1, 64, 101, 128) for degree in (1, 3, 4)]
rings = st.sampled_from(EXACT)


def polynomial(seed, ring, degree, indices):
    """Return the values of a random polynomial at some operators, and at 0."""
    coefficients = random_elements(seed, ring, degree + 1)

    def value(index):
        total = ring.zero
        for coefficient in reversed(coefficients):
            total = ring.add(ring.multiply(total, ring.point(index)), coefficient)
        return total

    return {i: value(i) for i in indices}, coefficients[0]


@given(rings, seeds)
def test_the_ring_is_commutative_associative_and_distributive(ring, seed):
    a, b, c = random_elements(seed, ring, 3)
    assert ring.multiply(a, b) == ring.multiply(b, a)
    assert ring.multiply(ring.multiply(a, b), c) == ring.multiply(a, ring.multiply(b, c))
    assert ring.multiply(a, ring.add(b, c)) == ring.add(ring.multiply(a, b), ring.multiply(a, c))
    assert ring.multiply(a, ring.one) == a
    assert ring.add(ring.sub(a, b), b) == a
    assert ring.add(a, ring.negate(a)) == ring.zero


@given(rings, seeds)
def test_every_unit_has_an_inverse(ring, seed):
    a = random_element(random.Random(seed), ring)
    if any(x % 2 for x in a):
        assert ring.multiply(a, ring.inverse(a)) == ring.one
    else:
        with pytest.raises(CeremonyError, match="RF-RING-002"):
            ring.inverse(a)


@pytest.mark.parametrize("degree", [3, 4])
def test_xi_is_a_root_of_the_modulus_and_generates_the_residue_field(degree):
    xi = xi_power(1, degree)
    sum_of_terms = [
        sum(terms)
        for terms in zip(xi_power(degree, degree), xi, (1,) + (0,) * (degree - 1), strict=True)
    ]
    assert sum_of_terms == [0] * degree
    residues = {ExactRing(1, degree).xi_power(k) for k in range(2**degree - 1)}
    assert len(residues) == 2**degree - 1


@pytest.mark.parametrize("degree", [1, 3, 4])
@pytest.mark.parametrize("exponent", [1, 2, 5, 12])
def test_negative_powers_of_xi_are_inverses_over_the_integers(degree, exponent):
    product = multiply_integers(xi_power(exponent, degree), xi_power(-exponent, degree))
    assert product == xi_power(0, degree)


@pytest.mark.parametrize("n", [4, 7, 8, 13])
def test_points_and_their_differences_are_units(n):
    ring = ExactRing(128, degree_for(n))
    for i, j in combinations(range(n + 1), 2):
        ring.inverse(ring.sub(ring.point(i), ring.point(j)))


@given(seeds, st.sampled_from([(4, 1), (7, 2), (10, 3), (13, 4)]), st.sampled_from([1, 64, 128]))
def test_values_of_a_polynomial_give_back_its_secret(seed, committee, bits):
    n, t = committee
    ring = ExactRing(bits, degree_for(n))
    values, secret = polynomial(seed, ring, 2 * t, range(1, n + 1))
    chosen = random.Random(seed).sample(sorted(values), 2 * t + 1)
    assert ring.value_at_zero({i: values[i] for i in chosen}, 2 * t) == secret
    assert ring.lies_on_polynomial(values, 2 * t)


@given(seeds, st.sampled_from([(4, 1), (7, 2), (13, 4)]))
def test_one_changed_value_among_all_lies_on_no_polynomial(seed, committee):
    n, t = committee
    ring = ExactRing(128, degree_for(n))
    values, _ = polynomial(seed, ring, 2 * t, range(1, n + 1))
    liar = random.Random(seed).choice(sorted(values))
    values[liar] = ring.add(values[liar], ring.scale(ring.one, 2**127))
    assert not ring.lies_on_polynomial(values, 2 * t)


def test_as_many_values_as_coefficients_always_lie_on_a_polynomial():
    ring = ExactRing(64, 3)
    values = dict(zip((2, 3, 4), random_elements(1, ring, 3), strict=True))
    assert ring.lies_on_polynomial(values, 2)


def test_a_value_that_is_not_reduced_is_compared_by_what_it_stands_for():
    ring = ExactRing(64, 3)
    values, _ = polynomial(5, ring, 1, range(1, 5))
    values[4] = tuple(x + 2**64 for x in values[4])
    assert ring.lies_on_polynomial(values, 1)


def test_too_few_values_are_refused():
    ring = ExactRing(64, 3)
    values, _ = polynomial(3, ring, 2, (1, 2))
    with pytest.raises(CeremonyError, match="RF-RING-003"):
        ring.value_at_zero(values, 2)


@given(seeds)
def test_vectors_are_interpolated_position_by_position(seed):
    ring = ExactRing(128, 4)
    columns = [polynomial(seed + k, ring, 3, range(1, 9)) for k in range(3)]
    vectors = {i: tuple(values[i] for values, _ in columns) for i in range(1, 9)}
    assert ring.vector_at_zero(vectors, 3) == tuple(secret for _, secret in columns)
    assert ring.vectors_lie_on_polynomial(vectors, 3)
    wrong = (*vectors[8][:2], ring.add(vectors[8][2], ring.one))
    assert not ring.vectors_lie_on_polynomial(vectors | {8: wrong}, 3)


def test_lagrange_factors_extend_a_polynomial_to_another_operator():
    ring = ExactRing(64, 4)
    values, _ = polynomial(7, ring, 2, range(1, 10))
    factors = ring.lagrange((1, 4, 9), at=6)
    assert ring.combine(factors, [values[i] for i in (1, 4, 9)]) == values[6]
    assert ring.lagrange_at_zero((1, 4, 9)) == ring.lagrange((1, 4, 9), at=0)


def test_the_trivial_ring_is_that_of_words():
    ring = ExactRing(64, 1)
    assert ring.multiply((2**63 + 1,), (3,)) == ((3 * (2**63 + 1)) % 2**64,)


def test_an_unsupported_degree_is_refused():
    with pytest.raises(CeremonyError, match="RF-RING-001"):
        ExactRing(64, 2)
