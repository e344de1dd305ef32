"""The numba type u128 computes in Z_2^128 like Python integers do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit, uint64

from mpc_core.kernels import u128

MODULUS = 2**128
edges = [0, 1, 2**63, 2**64 - 1, 2**64, 2**127, MODULUS - 1]
values = st.one_of(st.sampled_from(edges), st.integers(0, MODULUS - 1))
words = st.one_of(st.sampled_from([0, 1, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1))


@njit("void(u8, u8, u8)")
def _with_values(a_at, b_at, out):
    a, b = u128.load(a_at), u128.load(b_at)
    u128.store(out, a + b)
    u128.store(out + uint64(16), a - b)
    u128.store(out + uint64(32), a * b)
    u128.store(out + uint64(48), u128.from_words(u128.high(a), u128.low(b)))


@njit("void(u8, u8, u8, u8)")
def _with_words(a_at, word, shift, out):
    a = u128.load(a_at)
    u128.store(out, u128.multiply_word(a, word))
    u128.store(out + uint64(16), u128.multiply_signed(a, np.int64(word)))
    u128.store(out + uint64(32), u128.full_product(u128.low(a), word))
    u128.store(out + uint64(48), u128.widen(word) + u128.widen_signed(np.int64(word)))
    u128.store(out + uint64(64), a << shift)
    u128.store(out + uint64(80), u128.shift_right(a, shift))


def _memory(*integers: int) -> tuple[np.ndarray, int]:
    """Return the integers as bytes at an odd address, and the address."""
    data = np.frombuffer(
        bytearray(b"\0" + b"".join(i.to_bytes(16, "little") for i in integers)), np.uint8
    )
    return data, data.ctypes.data + 1


def _integers(memory: np.ndarray) -> list[int]:
    data = memory.tobytes()[1:]
    return [int.from_bytes(data[at : at + 16], "little") for at in range(0, len(data), 16)]


@given(values, values)
def test_values_add_subtract_multiply_and_come_apart(a: int, b: int) -> None:
    operands, place = _memory(a, b)
    memory, out = _memory(0, 0, 0, 0)

    _with_values(place, place + 16, out)

    assert operands.size == 33
    assert _integers(memory) == [
        (a + b) % MODULUS,
        (a - b) % MODULUS,
        a * b % MODULUS,
        (a >> 64) | (b % 2**64) << 64,
    ]


@given(values, words, st.integers(0, 127))
def test_values_meet_words_of_64_bits(a: int, word: int, shift: int) -> None:
    signed = word - (word >> 63 << 64)
    operands, place = _memory(a)
    memory, out = _memory(0, 0, 0, 0, 0, 0)

    _with_words(place, word, shift, out)

    assert operands.size == 17
    assert _integers(memory) == [
        a * word % MODULUS,
        a * signed % MODULUS,
        a % 2**64 * word,
        (word + signed) % MODULUS,
        (a << shift) % MODULUS,
        a >> shift,
    ]


def test_a_value_meets_no_signed_or_untyped_integer_by_accident() -> None:
    from numba.core.errors import TypingError

    with pytest.raises(TypingError):

        @njit("void(u8)")
        def _mixed(place):
            u128.store(place, u128.load(place) + 1)
