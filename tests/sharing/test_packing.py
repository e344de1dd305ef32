import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc_core.kernels import packing as kernels
from mpc_core.ring.galois import Ring
from mpc_core.sharing.packing import pack, pack_shares, packed_count, unpack
from tests.support.rings import RINGS, counts, random_elements, random_words, seeds

rings = st.sampled_from(RINGS)


@given(rings, seeds, counts)
def test_the_kernel_of_packing_agrees_with_its_reference(ring, seed, count):
    shares = ring.from_exact(random_elements(seed, ring.exact, count))
    expected = ring.zeros(packed_count(count, ring.degree))
    found = np.full_like(expected, 7)
    kernel = kernels.pack_64 if ring.bits == 64 else kernels.pack_128
    pack_shares(shares, expected)
    kernel(shares, found)
    assert np.array_equal(found, expected)


@given(rings, seeds, counts)
def test_a_packed_element_is_the_sum_of_powers_of_xi_times_its_shares(ring, seed, count):
    exact, d = ring.exact, ring.degree
    shares = random_elements(seed, exact, count)
    packed = ring.to_exact(pack(ring.from_exact(shares), ring))
    powers = [exact.xi_power(c) for c in range(d)]
    for e, element in enumerate(packed):
        values = shares[d * e : d * (e + 1)]
        assert element == exact.combine(powers[: len(values)], values)
    assert len(packed) == packed_count(count, d)


@given(rings, seeds, counts)
def test_packed_words_are_unpacked_from_the_coefficients(ring, seed, count):
    words = random_words(seed, ring.exact, count)
    secrets = ring.from_exact([(word,) + (0,) * (ring.degree - 1) for word in words])
    packed = pack(secrets, ring)
    assert ring.words_to_integers(unpack(packed, count)) == words
    rest = unpack(packed, len(packed) * ring.degree)[count:]
    assert not rest.any()


def test_more_values_than_were_packed_are_refused():
    with pytest.raises(ValueError, match="more values"):
        unpack(Ring(64, 3).zeros(2), 7)


def test_shares_of_another_ring_are_refused():
    with pytest.raises(ValueError, match="another ring"):
        pack(Ring(128, 3).zeros(3), Ring(128, 4))
