"""Opening from encoded vectors: the same bytes as from decoded ones, and no others accepted."""

from __future__ import annotations

import ctypes
import mmap
import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.exact import degree_for, lagrange_integers
from mpc_core.ring.galois import Ring
from mpc_core.sharing.opening import (
    decode_words,
    encode_words,
    fitting_in,
    open_double,
    open_single,
    reduce_groups,
)
from mpc_core.sharing.spans import SPAN_BYTES, spans_of
from tests.sharing.test_opening import sharing
from tests.support.openings import interpolated

COMMITTEES = [(4, 1), (7, 2), (13, 4)]
WEIGHTS = (0, 1, 7, 8, 9, 30, 63)
TILE = 64
"""Elements that the kernel takes at once when K = 128; twice as many when K = 64."""


def joined(pieces) -> bytes:
    return b"".join(bytes(piece) for piece in pieces)


def random_vectors(points, groups, ring: Ring, seed: int = 0):
    """Return random vectors with the largest and smallest coefficients among them."""
    rng = np.random.default_rng(seed)
    count = sum(size for _, size in groups)
    vectors = {}
    for index in points:
        values = rng.integers(0, 2**64, ring.shape(count), dtype=np.uint64)
        values[rng.random(values.shape) < 0.2] = np.uint64(2**64 - 1)
        values[rng.random(values.shape) < 0.1] = np.uint64(0)
        vectors[index] = reduce_groups(values, groups, ring)
    return vectors


def encoded(vectors, groups, ring: Ring) -> dict[int, bytes]:
    return {index: encode_words(vector, groups, ring) for index, vector in vectors.items()}


def shared(n: int, degree: int, groups, ring: Ring, seed: int = 0):
    """Return the encodings of secrets and of their shares."""
    secrets, vectors = sharing(n, degree, ring, sum(size for _, size in groups), seed)
    low = {i: reduce_groups(vector, groups, ring) for i, vector in vectors.items()}
    value = encode_words(reduce_groups(secrets, groups, ring), groups, ring)
    return value, encoded(low, groups, ring)


@pytest.mark.parametrize(("n", "t"), COMMITTEES)
@pytest.mark.parametrize("bits", [64, 128])
@pytest.mark.parametrize("sizes", [(1, 2), (TILE - 1, 2), (2 * TILE, 2 * TILE + 1), (0, 3)])
def test_double_openings_of_encoded_vectors_are_those_of_decoded_ones(
    n: int, t: int, bits: int, sizes
) -> None:
    ring = Ring(bits, degree_for(n))
    groups = tuple((weight, sizes[at % 2]) for at, weight in enumerate(WEIGHTS))
    points = sorted(random.Random(n).sample(range(1, n + 1), 2 * t + 1))
    vectors = random_vectors(points, groups, ring)
    expected = encode_words(interpolated(vectors, groups, ring), groups, ring)

    assert joined(open_double(encoded(vectors, groups, ring), t, groups, ring)) == expected


@settings(max_examples=40, deadline=None)
@given(
    committee=st.sampled_from(COMMITTEES),
    bits=st.sampled_from([64, 128]),
    groups=st.lists(st.tuples(st.integers(0, 63), st.integers(0, 150)), min_size=1, max_size=3).map(
        tuple
    ),
    seed=st.integers(0, 2**32),
)
def test_any_groups_open_alike(committee, bits: int, groups, seed: int) -> None:
    n, t = committee
    ring = Ring(bits, degree_for(n))
    points = sorted(random.Random(seed).sample(range(1, n + 1), 2 * t + 1))
    vectors = random_vectors(points, groups, ring, seed)
    expected = encode_words(interpolated(vectors, groups, ring), groups, ring)

    assert joined(open_double(encoded(vectors, groups, ring), t, groups, ring)) == expected


@pytest.mark.parametrize("bits", [64, 128])
def test_vectors_of_several_spans_open_alike(bits: int) -> None:
    ring = Ring(bits, 3)
    groups = ((0, 8 * SPAN_BYTES // bits), (9, 5000))
    vectors = random_vectors((1, 2, 4), groups, ring)
    expected = encode_words(interpolated(vectors, groups, ring), groups, ring)

    pieces = [bytes(p) for p in open_double(encoded(vectors, groups, ring), 1, groups, ring)]

    assert b"".join(pieces) == expected
    assert len(pieces) > 2
    assert max(map(len, pieces)) <= SPAN_BYTES


@given(
    groups=st.lists(st.tuples(st.integers(0, 63), st.integers(0, 50)), max_size=4).map(tuple),
    bits=st.sampled_from([64, 128]),
    degree=st.sampled_from([1, 3, 4]),
    most=st.integers(1, 999),
)
def test_spans_follow_each_other_and_cover_the_vector(groups, bits, degree, most) -> None:
    ring = Ring(bits, degree)
    count = sum(size for _, size in groups)
    data = encode_words(ring.zeros(count), groups, ring)

    spans = list(spans_of(groups, ring, most))

    assert [0, *(s.stop for s in spans)] == [*(s.start for s in spans), len(data)]
    assert sum(s.elements for s in spans) == count
    for span in spans:
        part = data[span.start : span.stop]
        decode_words(part, ((span.weight, span.elements),), ring)
        assert len(part) <= most or span.elements == 1


@pytest.mark.parametrize("bits", [64, 128])
@pytest.mark.parametrize("weight", [3, 7])
@pytest.mark.parametrize("at", [0, 1, TILE * 3, TILE * 3 + 1, -1])
def test_one_coefficient_too_wide_anywhere_is_refused(bits: int, weight: int, at: int) -> None:
    ring = Ring(bits, 3)
    groups = ((weight, 2 * TILE + 5),)
    vectors = {i: bytearray(len(encode_words(ring.zeros(133), groups, ring))) for i in (1, 2, 3)}
    width = len(vectors[2]) // (133 * 3)
    coefficient = at % (133 * 3)
    top = 1 << (bits - weight) % 8
    vectors[2][coefficient * width + width - 1] = top

    with pytest.raises(CeremonyError, match="RF-BATCH-003") as refusal:
        joined(open_double(vectors, 1, groups, ring))
    assert refusal.value.found == "a wider coefficient from operators: 2"
    with pytest.raises(CeremonyError, match="RF-BATCH-003"):
        joined(open_single(vectors, 1, 3, groups, ring))
    assert fitting_in(vectors, 1, 3, groups, ring) == ()
    assert fitting_in({**vectors, 4: bytes(len(vectors[1]))}, 1, 3, groups, ring) == (1, 3, 4)

    vectors[2][coefficient * width + width - 1] = top - 1
    joined(open_double(vectors, 1, groups, ring))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_vector_of_another_length_opens_nothing(change: int) -> None:
    ring = Ring(128, 3)
    groups = ((1, 70),)
    vectors = {i: bytes(70 * 48 + (change if i == 3 else 0)) for i in (1, 2, 3)}

    with pytest.raises(CeremonyError, match="RF-BATCH-002"):
        joined(open_double(vectors, 1, groups, ring))
    assert fitting_in(vectors, 1, 2, groups, ring) == (1, 2)


@pytest.mark.parametrize("bits", [64, 128])
@pytest.mark.parametrize("weight", [0, 9])
def test_nothing_behind_a_vector_is_read(bits: int, weight: int) -> None:
    """The vectors end where a page ends, and the page behind may not be touched."""
    ring = Ring(bits, 3)
    groups = ((weight, 67),)
    data = encode_words(ring.zeros(67), groups, ring)
    pages = [mmap.mmap(-1, 2 * mmap.PAGESIZE) for _ in range(3)]
    libc = ctypes.CDLL(None, use_errno=True)
    vectors = {}
    for index, page in enumerate(pages, 1):
        start = ctypes.addressof(ctypes.c_char.from_buffer(page)) + mmap.PAGESIZE
        assert libc.mprotect(ctypes.c_void_p(start), mmap.PAGESIZE, 0) == 0
        vectors[index] = memoryview(page)[mmap.PAGESIZE - len(data) : mmap.PAGESIZE]

    assert joined(open_double(vectors, 1, groups, ring)) == data


@pytest.mark.parametrize("count", [2, 4])
def test_double_openings_take_exactly_2t_plus_1_encoded_vectors(count: int) -> None:
    with pytest.raises(CeremonyError, match="RF-BATCH-004"):
        open_double({i: bytes(24) for i in range(1, count + 1)}, 1, ((0, 1),), Ring(64, 3))


@pytest.mark.parametrize(("n", "t"), COMMITTEES)
@pytest.mark.parametrize("bits", [64, 128])
def test_double_openings_come_from_any_2t_plus_1_operators(n: int, t: int, bits: int) -> None:
    ring = Ring(bits, degree_for(n))
    groups = ((0, 4), (5, 2))
    value, vectors = shared(n, 2 * t, groups, ring)

    for start in range(n):
        chosen = {(start + k) % n + 1 for k in range(2 * t + 1)}
        found = open_double({i: vectors[i] for i in chosen}, t, groups, ring)
        assert joined(found) == value


@pytest.mark.parametrize(("n", "t"), COMMITTEES)
@pytest.mark.parametrize("bits", [64, 128])
def test_single_openings_come_from_n_minus_t_or_more_encoded_vectors(
    n: int, t: int, bits: int
) -> None:
    ring = Ring(bits, degree_for(n))
    groups = ((0, 5), (11, 3))
    value, vectors = shared(n, t, groups, ring)
    chosen = {i: vectors[i] for i in range(t + 1, n + 1)}

    assert joined(open_single(chosen, t, n - t, groups, ring)) == value
    assert joined(open_single(vectors, t, n - t, groups, ring)) == value
    assert fitting_in(vectors, t, n - t, groups, ring) == tuple(range(1, n + 1))
    del chosen[n]
    with pytest.raises(CeremonyError, match="RF-BATCH-005"):
        open_single(chosen, t, n - t, groups, ring)


@pytest.mark.parametrize("bits", [64, 128])
@pytest.mark.parametrize("liar", [1, 2, 4])
def test_a_lie_among_n_minus_t_encoded_vectors_opens_nothing(bits: int, liar: int) -> None:
    ring = Ring(bits, 3)
    groups = ((0, 4), (5, 3))
    _, vectors = shared(4, 1, groups, ring)
    chosen = {i: vectors[i] for i in (1, 2, 4)}
    lie = bytearray(chosen[liar])
    lie[-bits // 8] ^= 1
    chosen[liar] = bytes(lie)

    with pytest.raises(CeremonyError, match="RF-BATCH-006") as refusal:
        joined(open_single(chosen, 1, 3, groups, ring))

    assert refusal.value.found == "no polynomial that enough of them fit"
    assert fitting_in(chosen, 1, 3, groups, ring) == ()


@pytest.mark.parametrize("bits", [64, 128])
def test_liars_in_different_places_are_named_once_all_have_sent(bits: int) -> None:
    ring = Ring(bits, 3)
    groups = ((0, 10), (30, 10))
    value, vectors = shared(7, 2, groups, ring)
    for index, place in ((1, 8), (4, len(vectors[4]) - 7)):
        lie = bytearray(vectors[index])
        lie[place] ^= 4
        vectors[index] = bytes(lie)

    with pytest.raises(CeremonyError, match="RF-BATCH-006") as refusal:
        joined(open_single(vectors, 2, 5, groups, ring))

    assert refusal.value.found == "operators off it: 1, 4"
    honest = fitting_in(vectors, 2, 5, groups, ring)
    assert honest == (2, 3, 5, 6, 7)
    assert joined(open_single({i: vectors[i] for i in honest}, 2, 5, groups, ring)) == value


def test_any_four_of_thirteen_may_send_vectors_of_another_polynomial() -> None:
    ring = Ring(64, 4)
    groups = ((0, 3),)
    value, vectors = shared(13, 4, groups, ring)
    _, forged = shared(13, 4, groups, ring, seed=1)
    vectors |= {i: forged[i] for i in (2, 6, 9, 13)}

    honest = fitting_in(vectors, 4, 9, groups, ring)

    assert honest == (1, 3, 4, 5, 7, 8, 10, 11, 12)
    assert joined(open_single({i: vectors[i] for i in honest}, 4, 9, groups, ring)) == value


@pytest.mark.parametrize("n", [4, 7, 13, 15])
@pytest.mark.parametrize("at", [0, 2])
def test_integer_constants_are_the_lagrange_factors_of_every_ring(n: int, at: int) -> None:
    degree = degree_for(n)
    exact = Ring(128, degree).exact
    others = [i for i in range(1, n + 1) if i != at]
    subsets = list(combinations(others, max(2, 2 * (n - 1) // 3)))
    for points in random.Random(n).sample(subsets, min(10, len(subsets))):
        constants, denominator = lagrange_integers(points, at, degree)
        factors = exact.lagrange(points, at)

        assert denominator % 2 == 1
        assert [exact.scale(f, denominator) for f in factors] == [
            exact.element(c) for c in constants
        ]
        assert max(abs(c) for constant in constants for c in constant) < 2**46
