import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mpc_core.tfhe import words

WORD_BITS = st.sampled_from([64, 128])


def as_words(values, word_bits):
    low = np.array([value & (1 << 64) - 1 for value in values], dtype=np.uint64)
    if word_bits == 64:
        return low
    high = np.array([value >> 64 & (1 << 64) - 1 for value in values], dtype=np.uint64)
    return np.stack((low, high), axis=-1)


def as_integers(array, word_bits):
    if word_bits == 64:
        return [int(value) for value in array]
    return [int(low) | int(high) << 64 for low, high in array]


VALUES = st.integers(0, (1 << 128) - 1) | st.sampled_from([0, 1, (1 << 64) - 1, (1 << 128) - 1])


@given(WORD_BITS, VALUES, VALUES, st.integers(0, 127))
def test_words_behave_like_integers_mod_their_size(word_bits, left, right, count):
    modulus = 1 << word_bits
    count %= word_bits
    a, b = as_words([left], word_bits), as_words([right], word_bits)
    left, right = left % modulus, right % modulus
    assert as_integers(words.add(a, b, word_bits), word_bits) == [(left + right) % modulus]
    assert as_integers(words.subtract(a, b, word_bits), word_bits) == [(left - right) % modulus]
    assert as_integers(words.negate(a, word_bits), word_bits) == [-left % modulus]
    shifted = words.shift_left(a, count, word_bits)
    assert as_integers(shifted, word_bits) == [(left << count) % modulus]


def test_reduction_forgets_the_high_word():
    assert words.reduce_to_64(as_words([(5 << 64) + 7], 128)).tolist() == [7]
