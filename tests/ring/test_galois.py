import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc_core.kernels import galois as kernels
from mpc_core.kernels import words as word_kernels
from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring import galois
from mpc_core.ring.galois import Ring, degree_for, from_integers, to_integers
from tests.support.rings import RINGS, counts, random_elements, random_words, seeds

rings = st.sampled_from(RINGS)


@given(rings, seeds, counts)
def test_elements_survive_the_way_through_an_array(ring, seed, count):
    elements = random_elements(seed, ring.exact, count)
    array = ring.from_exact(elements)
    assert array.shape == ring.shape(count)
    assert array.dtype == np.uint64
    assert ring.to_exact(array) == elements


def test_the_low_word_comes_first():
    assert Ring(128, 3).from_exact([(1 + (2 << 64), 0, 0)])[0, 0].tolist() == [1, 2]


@given(rings, seeds, counts)
def test_arrays_compute_what_exact_elements_compute(ring, seed, count):
    exact = ring.exact
    a, b = random_elements(seed, exact, count), random_elements(seed + 1, exact, count)
    words = random_words(seed + 2, exact, count)
    x, y = ring.from_exact(a), ring.from_exact(b)
    pairs = list(zip(a, b, strict=True))
    assert ring.to_exact(ring.add(x, y)) == [exact.add(p, q) for p, q in pairs]
    assert ring.to_exact(ring.subtract(x, y)) == [exact.sub(p, q) for p, q in pairs]
    assert ring.to_exact(ring.negate(x)) == [exact.negate(p) for p in a]
    assert ring.to_exact(ring.multiply(x, y)) == [exact.multiply(p, q) for p, q in pairs]
    assert ring.to_exact(ring.square(x)) == [exact.multiply(p, p) for p in a]
    scaled = ring.scale(x, ring.words_from_integers(words))
    assert ring.to_exact(scaled) == [exact.scale(p, w) for p, w in zip(a, words, strict=True)]


@given(rings, seeds, counts)
def test_words_are_added_like_elements(ring, seed, count):
    a, b = random_words(seed, ring.exact, count), random_words(seed + 1, ring.exact, count)
    total = ring.add(ring.words_from_integers(a), ring.words_from_integers(b))
    expected = [(x + y) % 2**ring.bits for x, y in zip(a, b, strict=True)]
    assert ring.words_to_integers(total) == expected


@given(rings, seeds, st.integers(1, 9))
def test_combine_is_the_sum_of_constants_times_vectors(ring, seed, count):
    exact = ring.exact
    factors = random_elements(seed, exact, 3)
    vectors = [random_elements(seed + 1 + k, exact, count) for k in range(3)]
    combined = ring.combine(factors, [ring.from_exact(v) for v in vectors])
    columns = zip(*vectors, strict=True)
    assert ring.to_exact(combined) == [exact.combine(factors, column) for column in columns]


@given(rings, seeds, st.data())
def test_reduction_keeps_the_low_bits_of_every_coefficient(ring, seed, data):
    kept = data.draw(st.integers(0, ring.bits))
    elements = random_elements(seed, ring.exact, 5)
    reduced = ring.to_exact(ring.reduce(ring.from_exact(elements), kept))
    assert reduced == [tuple(x % 2**kept for x in element) for element in elements]


@given(seeds, st.sampled_from([1, 3, 4]))
def test_reduction_to_64_bits_is_a_ring_homomorphism(seed, degree):
    wide, narrow = Ring(128, degree), Ring(64, degree)
    a, b = (wide.from_exact(random_elements(seed + k, wide.exact, 4)) for k in range(2))
    product = wide.reduce_to_64(wide.multiply(a, b))
    narrow_product = narrow.multiply(wide.reduce_to_64(a), wide.reduce_to_64(b))
    assert np.array_equal(product, narrow_product)


@given(rings, seeds, counts, st.booleans())
def test_the_kernel_of_multiplication_agrees_with_its_reference(ring, seed, count, single):
    exact = ring.exact
    a = ring.from_exact(random_elements(seed, exact, count))
    b = ring.from_exact(random_elements(seed + 1, exact, 1 if single else count))
    expected = ring.from_exact(random_elements(seed + 2, exact, count))
    found = expected.copy()
    kernel = kernels.multiply_add_64 if ring.bits == 64 else kernels.multiply_add_128
    galois.multiply_add(a, b, expected)
    kernel(a, b, found)
    assert np.array_equal(found, expected)


@given(seeds, counts, st.sampled_from([1, 3, 4]))
def test_the_kernel_of_scaling_agrees_with_its_reference(seed, count, degree):
    ring = Ring(128, degree)
    a = ring.from_exact(random_elements(seed, ring.exact, count))
    words = ring.words_from_integers(random_words(seed + 1, ring.exact, count))
    expected, found = ring.zeros(count), ring.zeros(count)
    galois.scale(a, words, expected)
    kernels.scale_128(a, words, found)
    assert np.array_equal(found, expected)


@given(seeds, counts)
def test_the_kernels_of_words_agree_with_integers(seed, count):
    ring = Ring(128, 1)
    a, b = (ring.words_from_integers(random_words(seed + k, ring.exact, count)) for k in range(2))
    out = ring.zero_words(count)
    word_kernels.add_arrays(a, b, out)
    assert np.array_equal(out, from_integers(to_integers(a, 128) + to_integers(b, 128), 128))
    word_kernels.sub_arrays(a, b, out)
    assert np.array_equal(out, from_integers(to_integers(a, 128) - to_integers(b, 128), 128))


def test_views_that_are_not_contiguous_are_computed_right():
    ring = Ring(128, 3)
    a = ring.from_exact(random_elements(1, ring.exact, 8))
    assert np.array_equal(ring.multiply(a[::2], a[1::2]), ring.multiply(a[::2].copy(), a[1::2]))
    assert np.array_equal(ring.add(a[::2], a[1::2]), ring.add(a[::2].copy(), a[1::2].copy()))


@pytest.mark.parametrize("ring", RINGS)
def test_operands_of_different_shapes_are_refused(ring):
    three, two = ring.zeros(3), ring.zeros(2)
    foreign = np.zeros((3, 5, *ring.word_shape), np.uint64)
    for operation, a, b in (
        (ring.add, three, two),
        (ring.subtract, three, two),
        (ring.scale, three, ring.zero_words(2)),
        (ring.multiply, three, two),
        (ring.multiply, foreign, foreign),
        (ring.multiply, three, foreign),
    ):
        with pytest.raises(ValueError, match="shapes"):
            operation(a, b)


def test_an_unsupported_ring_is_refused():
    with pytest.raises(CeremonyError, match="RF-RING-005"):
        Ring(32, 3)


def test_the_degree_leaves_a_point_for_every_operator():
    assert [degree_for(n) for n in (4, 7, 8, 13)] == [3, 3, 4, 4]
