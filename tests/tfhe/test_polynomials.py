import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_core.kernels import fft, negacyclic
from mpc_core.tfhe import polynomials, words

U = 2.0**-53
SIZES = [1 << log for log in range(1, 13)]


def draw(random, word_bits, *shape):
    end = () if word_bits == 64 else (2,)
    edge = np.array([0, 1, 2**32 - 1, 2**63, 2**64 - 1], dtype=np.uint64)
    values = random.integers(0, 2**64, (*shape, *end), dtype=np.uint64)
    return np.where(random.random(values.shape) < 0.3, random.choice(edge, values.shape), values)


def integers(values, word_bits):
    """Return words as Python integers."""
    if word_bits == 64:
        return [int(value) for value in values]
    return [int(low) | int(high) << 64 for low, high in values]


def product(left, right, word_bits):
    """Multiply mod X^N + 1 with one multiplication of very long integers."""
    size, width = len(left), 2 * word_bits // 8 + 2
    one, other = (
        int.from_bytes(b"".join(value.to_bytes(width, "little") for value in values), "little")
        for values in (left, right)
    )
    data = (one * other).to_bytes(2 * size * width, "little")
    places = [data[at : at + width] for at in range(0, len(data), width)]
    found = [int.from_bytes(place, "little") for place in places]
    return [(found[at] - found[at + size]) % (1 << word_bits) for at in range(size)]


def expected_sum(masks, key, word_bits):
    """Return sum_j a_j S_j for one row of masks and one coefficient of the shares."""
    total = [0] * masks.shape[1]
    for mask, share in zip(masks, key, strict=True):
        terms = product(integers(mask, word_bits), integers(share, word_bits), word_bits)
        total = [(a + b) % (1 << word_bits) for a, b in zip(total, terms, strict=True)]
    return total


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([64, 128]),
    st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 4)),
    st.integers(0, 2**32),
)
def test_kernel_and_reference_agree(word_bits, shape, seed):
    rows, count, log_size, degree = shape
    random = np.random.default_rng(seed)
    masks = draw(random, word_bits, rows, count, 1 << log_size)
    key = draw(random, word_bits, count, 1 << log_size, degree)
    fast = negacyclic.negacyclic_sum(masks, key, word_bits)
    assert np.array_equal(fast, polynomials.negacyclic_sum(masks, key, word_bits))


@pytest.mark.parametrize("module", [negacyclic, polynomials])
def test_x_times_the_highest_power_is_minus_one(module):
    masks = np.array([[[0, 1]]], dtype=np.uint64)
    key = np.array([[[0], [1]]], dtype=np.uint64)
    assert module.negacyclic_sum(masks, key, 64).ravel().tolist() == [2**64 - 1, 0]


@pytest.mark.parametrize("word_bits", [64, 128])
@pytest.mark.parametrize(
    ("size", "count"), [(256, 1), (256, 17), (512, 2), (1024, 6), (2048, 2), (2048, 3), (4096, 2)]
)
def test_the_largest_digits_everywhere_give_exact_sums(size, count, word_bits):
    digits = word_bits // 16
    largest = -sum(0x8000 << 16 * digit for digit in range(digits)) % (1 << word_bits)
    halves = [largest & (1 << 64) - 1, largest >> 64][: word_bits // 64]
    random = np.random.default_rng(size + count)
    masks = np.empty((3, count, size, len(halves)), dtype=np.uint64)
    masks[:] = halves
    key = np.ascontiguousarray(masks[0, :, :, None, :])
    # a sign for every coefficient: the largest sums, at another place and with other roundings
    masks[1][random.random((count, size)) < 0.5] = 0x7FFF_7FFF_7FFF_7FFF
    masks[2] = random.integers(0, 2**64, masks[2].shape, dtype=np.uint64)
    if word_bits == 64:
        masks, key = masks[..., 0], key[..., 0]
    found = negacyclic.negacyclic_sum(masks, key, word_bits)
    for row in range(len(masks)):
        expected = expected_sum(masks[row], key[:, :, 0], word_bits)
        assert integers(found[row, :, 0], word_bits) == expected


@pytest.mark.parametrize("size", SIZES)
def test_the_rounding_errors_of_a_sum_stay_below_one_half(size):
    h, digits = (size // 2).bit_length() - 1, 8
    e = 6 * (h // 2) + 5 * (h % 2)
    k = fft.products_at_once(size)
    assert k >= 1
    bound = (3 * e + math.sqrt(2) * digits + k + 1) * U * k * digits * size * 2.0**30
    assert bound < 0.47


@pytest.mark.parametrize("size", SIZES)
def test_the_roots_are_powers_of_one_root_of_the_factor_that_is_split(size):
    table = fft.roots(size)
    r, square, cube = (table[:, at] + 1j * table[:, at + 1] for at in (0, 2, 4))
    assert np.allclose(r * r, square, rtol=0, atol=4 * U)
    assert np.allclose(r * square, cube, rtol=0, atol=4 * U)
    factors, length, row = [1j], size // 2, 0
    while length > 1:
        parts = 2 if length.bit_length() % 2 == 0 and row == 0 else 4
        layer = r[row : row + len(factors)]
        assert np.allclose(layer**parts, factors, rtol=0, atol=16 * U)
        turns = np.exp(2j * np.pi * np.arange(parts) / parts)
        factors = np.multiply.outer(layer, turns).ravel().tolist()
        row, length = row + len(layer), length // parts
    assert row == len(table)


def test_a_sum_is_added_to_what_is_there_and_inputs_stay_as_they_are():
    random = np.random.default_rng(5)
    masks, key = draw(random, 128, 2, 2, 8), draw(random, 128, 2, 8, 3)
    for array in (masks, key):
        array.flags.writeable = False
    products = negacyclic.negacyclic_sum(masks, key, 128)
    total = np.zeros_like(products)
    transformed = negacyclic.transform_key(key, 128)
    negacyclic.add_negacyclic_sum(masks, transformed, total)
    assert np.array_equal(total, products)
    negacyclic.add_negacyclic_sum(masks[:1], transformed, total[:1])
    assert np.array_equal(total[0], words.add(products[0], products[0], 128))
    assert np.array_equal(total[1], products[1])


@pytest.mark.parametrize("size", [1, 3, 6, 8192])
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match="size"):
        negacyclic.transform_key(np.zeros((1, size, 3), dtype=np.uint64), 64)


def test_masks_and_totals_of_another_shape_are_refused():
    key = negacyclic.transform_key(np.zeros((2, 8, 3), dtype=np.uint64), 64)
    masks, total = (np.zeros(shape, dtype=np.uint64) for shape in ((1, 2, 8), (1, 8, 3)))
    with pytest.raises(ValueError, match="masks"):
        negacyclic.add_negacyclic_sum(masks[:, :1], key, total)
    with pytest.raises(ValueError, match="total"):
        negacyclic.add_negacyclic_sum(masks, key, total[:, :4])


def test_a_transformed_key_shows_no_share():
    key = negacyclic.transform_key(np.full((1, 2, 1), 12345, dtype=np.uint64), 64)
    assert repr(key) == "TransformedKey(1, 2, 1, 64)"
