import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_core.kernels import negacyclic
from mpc_core.tfhe import polynomials


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([64, 128]),
    st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(0, 4), st.integers(1, 4)),
    st.integers(0, 2**32),
)
def test_kernel_and_reference_agree(word_bits, shape, seed):
    rows, count, log_size, degree = shape
    random = np.random.default_rng(seed)
    end = () if word_bits == 64 else (2,)
    edge = np.array([0, 1, 2**32 - 1, 2**63, 2**64 - 1], dtype=np.uint64)

    def draw(*shape):
        values = random.integers(0, 2**64, shape, dtype=np.uint64)
        return np.where(random.random(shape) < 0.3, random.choice(edge, shape), values)

    masks = draw(rows, count, 1 << log_size, *end)
    key = draw(count, 1 << log_size, degree, *end)
    fast = negacyclic.negacyclic_sum(masks, key, word_bits)
    assert np.array_equal(fast, polynomials.negacyclic_sum(masks, key, word_bits))


@pytest.mark.parametrize("module", [negacyclic, polynomials])
def test_x_times_the_highest_power_is_minus_one(module):
    masks = np.array([[[0, 1]]], dtype=np.uint64)
    key = np.array([[[0], [1]]], dtype=np.uint64)
    assert module.negacyclic_sum(masks, key, 64).ravel().tolist() == [2**64 - 1, 0]
