"""The challenge: defined to the bit, fast, and no lie about a share vector or v survives it."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.galois import Ring
from mpc_core.sharing.answers import agrees_with, answers_on_polynomial, parse_answer
from mpc_core.sharing.challenge import (
    PIECE_BYTES,
    Challenge,
    CombinationSum,
    answer_for,
    challenge,
    subset_sums,
)
from mpc_core.sharing.opening import encode_words, reduce_groups
from tests.sharing.test_opening import sharing
from tests.support.openings import interpolated

PLAN, CONTEXT, ROOT = (hashlib.sha256(name).digest() for name in (b"plan", b"context", b"root"))
DRAWN = challenge(PLAN, CONTEXT, 0, ROOT)


def answer(values, groups, ring: Ring) -> bytes:
    """Return the answer to `DRAWN` of a vector that is not encoded yet."""
    return answer_for(DRAWN, encode_words(values, groups, ring), groups, ring)


def test_the_challenge_is_the_documented_hash() -> None:
    text = b"".join(
        len(part).to_bytes(4, "big") + part for part in (b"chal", PLAN, CONTEXT, bytes(8), ROOT)
    )

    expected = hashlib.shake_256(text).digest(24)

    assert DRAWN.key + DRAWN.nonce == expected
    assert expected.hex() == "a39f4f4a57d8f0c12f747825dc6a9c3929561d6291066668"


@pytest.mark.parametrize(
    "other",
    [
        challenge(ROOT, CONTEXT, 0, ROOT),
        challenge(PLAN, PLAN, 0, ROOT),
        challenge(PLAN, CONTEXT, 1, ROOT),
        challenge(PLAN, CONTEXT, 0, PLAN),
    ],
)
def test_plan_context_round_and_log_prefix_each_change_the_challenge(other: Challenge) -> None:
    assert other != DRAWN


@pytest.mark.parametrize("degree", [3, 4])
@pytest.mark.parametrize("bits", [64, 128])
def test_an_answer_is_the_sum_of_rho_times_the_vector_in_the_stated_bit_order(
    bits: int, degree: int
) -> None:
    ring = Ring(bits, degree)
    exact = ring.exact
    groups = ((0, 9), (5, 4))
    vectors = -(-128 // degree)
    rows = vectors * degree
    values = np.random.default_rng(5).integers(0, 2**64, ring.shape(13), dtype=np.uint64)
    reduce_groups(values, groups, ring)
    cipher = Cipher(algorithms.AES(DRAWN.key), modes.CTR(DRAWN.nonce + bytes(8))).encryptor()
    stream = cipher.update(bytes(2 * rows))

    expected = []
    for j in range(vectors):
        total = exact.zero
        for index, element in enumerate(ring.to_exact(values)):
            chunk, bit = divmod(index, 8)
            rho = tuple(stream[chunk * rows + j * degree + c] >> bit & 1 for c in range(degree))
            weighted = exact.scale(element, 2**5 if index >= 9 else 1)
            total = exact.add(total, exact.multiply(rho, weighted))
        expected.append(total)

    found = answer(values, groups, ring)

    assert parse_answer(found, exact) == tuple(expected)
    assert len(found) == vectors * degree * bits // 8


@pytest.mark.parametrize(
    ("bits", "degree", "digest"),
    [
        (64, 3, "e788a463c7c8a1b4a3d816606b67a172cb5086fdcd793427389f3e8f23c2aa56"),
        (64, 4, "70fc5f9a4dbdca0ef9661a9f2757e3f153e10aa40bcfd20bd3faf1e4cf72dbd1"),
        (128, 3, "09fab7467919d8ea70418659168acc365b643fb6b0a7881550570fb58d8b5d05"),
        (128, 4, "223371408cd1ae5fe2697465bdf25faea15cb83c01374efc0013efb853082945"),
    ],
)
def test_answers_are_pinned(bits: int, degree: int, digest: str) -> None:
    """A fixed vector: element l has coefficients l d + c + 1."""
    ring = Ring(bits, degree)
    count = 8 * 512 + 11
    values = ring.zeros(count)
    values.reshape(count * degree, -1)[:, 0] = np.arange(1, count * degree + 1)

    found = answer(values, ((0, count - 5), (7, 5)), ring)

    assert hashlib.sha256(found).hexdigest() == digest


def defined_answer(values, groups, ring: Ring) -> bytes:
    """Return the answer as `subset_sums` and the definition of rho make it."""
    exact, degree = ring.exact, ring.degree
    rows = -(-128 // degree) * degree
    chunks = -(-len(values) // 8)
    cipher = Cipher(algorithms.AES(DRAWN.key), modes.CTR(DRAWN.nonce + bytes(8))).encryptor()
    stream = np.frombuffer(cipher.update(bytes(chunks * rows)), np.uint8).reshape(chunks, rows)
    weights = np.repeat([weight for weight, _ in groups], [size for _, size in groups])
    sums = ring.to_exact(subset_sums(values, weights.astype(np.uint8), stream, ring))
    powers = [exact.xi_power(c) for c in range(degree)]
    return b"".join(
        coefficient.to_bytes(ring.bits // 8, "little")
        for at in range(0, rows, degree)
        for coefficient in exact.combine(powers, sums[at : at + degree])
    )


def random_vector(groups, ring: Ring, seed: int):
    """Return reduced random elements, many of them the largest there are."""
    rng = np.random.default_rng(seed)
    count = sum(size for _, size in groups)
    values = rng.integers(0, 2**64, ring.shape(count), dtype=np.uint64)
    values[rng.random(values.shape) < 0.3] = np.uint64(2**64 - 1)
    return reduce_groups(values, groups, ring)


@settings(max_examples=60, deadline=None)
@given(
    bits=st.sampled_from([64, 128]),
    degree=st.sampled_from([1, 3, 4]),
    groups=st.lists(st.tuples(st.integers(0, 63), st.integers(0, 40)), max_size=4).map(tuple),
    seed=st.integers(0, 2**32),
)
def test_kernel_and_reference_add_up_the_same_subsets(
    bits: int, degree: int, groups, seed: int
) -> None:
    ring = Ring(bits, degree)
    values = random_vector(groups, ring, seed)
    assert answer(values, groups, ring) == defined_answer(values, groups, ring)


@pytest.mark.parametrize("weight", [64, 100, 127])
def test_weights_beyond_a_word_enter_as_powers_of_two(weight: int) -> None:
    ring = Ring(128, 3)
    groups = ((0, 3), (weight, 9))
    values = random_vector(groups, ring, weight)

    assert answer(values, groups, ring) == defined_answer(values, groups, ring)


@pytest.mark.parametrize("degree", [3, 4])
@pytest.mark.parametrize("bits", [64, 128])
def test_the_largest_elements_overflow_no_limb(bits: int, degree: int) -> None:
    ring = Ring(bits, degree)
    values = ring.zeros(300) - np.uint64(1)
    groups = ((0, 300),)

    assert answer(values, groups, ring) == defined_answer(values, groups, ring)


@pytest.mark.parametrize("bits", [64, 128])
def test_a_vector_of_many_pieces_is_answered_as_its_parts_are(bits: int) -> None:
    ring = Ring(bits, 3)
    count = 3 * PIECE_BYTES // bits
    groups = ((0, count), (5, 1001))
    values = random_vector(groups, ring, 1)
    whole = answer(values, groups, ring)
    total = CombinationSum(DRAWN, ring)

    for start in range(0, count, 999):
        total.add(values[start : min(start + 999, count)])
    total.add(values[count:], 5)

    exact = ring.exact
    assert tuple(ring.to_exact(total.result())) == parse_answer(whole, exact)


def test_a_sum_may_be_looked_at_before_it_is_complete() -> None:
    ring = Ring(128, 4)
    values = random_vector(((0, 21),), ring, 3)
    total = CombinationSum(DRAWN, ring)

    for stop in (5, 13, 21):
        total.add(values[max(stop - 8, 0) : stop])
        expected = answer(values[:stop], ((0, stop),), ring)
        assert tuple(ring.to_exact(total.result())) == parse_answer(expected, ring.exact)


@pytest.mark.parametrize("bits", [64, 128])
@pytest.mark.parametrize("place", [0, 1, 63, 64, 130, -1])
def test_an_encoding_with_one_coefficient_too_wide_is_not_answered(bits: int, place: int) -> None:
    ring = Ring(bits, 3)
    groups = ((0, 5), (3, 70))
    data = bytearray(encode_words(ring.zeros(75), groups, ring))
    width = bits // 8
    last = (15 + place % 210 + 1) * width - 1
    data[last] = 0x1F
    answer_for(DRAWN, bytes(data), groups, ring)

    data[last] = 0x20
    with pytest.raises(CeremonyError, match="RF-BATCH-003"):
        answer_for(DRAWN, memoryview(data), groups, ring)


@pytest.mark.parametrize("change", [-1, 1])
def test_an_encoding_of_another_length_is_not_answered(change: int) -> None:
    ring = Ring(64, 3)

    with pytest.raises(CeremonyError, match="RF-BATCH-002"):
        answer_for(DRAWN, bytes(24 * 10 + change), ((0, 10),), ring)


class Batch:
    """A batch opened at degree 2t among n operators."""

    groups = ((0, 20), (45, 10))

    def __init__(self, n: int, t: int, bits: int) -> None:
        self.t = t
        self.ring = Ring(bits, 3 if n <= 7 else 4)
        _, vectors = sharing(n, 2 * t, self.ring, 30)
        self.vectors = {
            i: reduce_groups(vector, self.groups, self.ring) for i, vector in vectors.items()
        }
        self.v = self.decode(range(1, 2 * t + 2))

    def decode(self, operators):
        chosen = {i: self.vectors[i] for i in operators}
        return interpolated(chosen, self.groups, self.ring)

    def answers(self) -> dict[int, bytes]:
        return {i: answer(vector, self.groups, self.ring) for i, vector in self.vectors.items()}

    def expected(self) -> bytes:
        return answer(self.v, self.groups, self.ring)


@pytest.mark.parametrize(("n", "t"), [(4, 1), (7, 2), (13, 4)])
@pytest.mark.parametrize("bits", [64, 128])
def test_honest_answers_lie_on_one_polynomial_and_agree_with_v(n: int, t: int, bits: int) -> None:
    batch = Batch(n, t, bits)
    answers = batch.answers()

    assert answers_on_polynomial(answers, 2 * t, batch.ring.exact)
    assert not answers_on_polynomial(answers, 2 * t - 1, batch.ring.exact)
    assert agrees_with(answers, 2 * t, batch.expected(), batch.ring.exact)


@pytest.mark.parametrize(("n", "t"), [(4, 1), (7, 2), (13, 4)])
@pytest.mark.parametrize("bits", [64, 128])
def test_a_lying_vector_shows_in_v_or_in_the_answers(n: int, t: int, bits: int) -> None:
    """One wrong bit in one vector used by the decoder: v is wrong, and the liar cannot answer."""
    batch = Batch(n, t, bits)
    honest = batch.answers()
    batch.vectors[1].reshape(30, batch.ring.degree, -1)[25, 0, 0] ^= np.uint64(1)
    batch.v = batch.decode(range(1, 2 * t + 2))
    exact = batch.ring.exact

    stands_by_it = honest | {1: batch.answers()[1]}
    assert not answers_on_polynomial(stands_by_it, 2 * t, exact)
    assert answers_on_polynomial(honest, 2 * t, exact)
    assert not agrees_with(honest, 2 * t, batch.expected(), exact)


@pytest.mark.parametrize("bits", [64, 128])
@pytest.mark.parametrize("place", [0, 29])
def test_a_decoder_that_changes_v_is_noticed(bits: int, place: int) -> None:
    batch = Batch(4, 1, bits)
    batch.v[place, 2] += np.uint64(2)

    assert not agrees_with(batch.answers(), 2, batch.expected(), batch.ring.exact)


def test_an_excluded_operator_does_not_hide_the_agreement_of_the_others() -> None:
    batch = Batch(7, 2, 64)
    answers = batch.answers()
    answers[3] = bytes(len(answers[3]))
    exact = batch.ring.exact

    assert not answers_on_polynomial(answers, 4, exact)
    del answers[3]
    assert answers_on_polynomial(answers, 4, exact)
    assert agrees_with(answers, 4, batch.expected(), exact)


def test_an_answer_of_another_length_is_no_answer() -> None:
    ring = Ring(64, 3)

    with pytest.raises(CeremonyError, match="RF-BATCH-007"):
        parse_answer(bytes(43 * 3 * 8 - 1), ring.exact)
