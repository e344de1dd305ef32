"""Share vectors on the wire, and what may be interpolated from them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.galois import Ring, degree_for
from mpc_core.sharing.opening import (
    decode_double,
    decode_single,
    decode_words,
    element_weights,
    encode_words,
    fitting_operators,
    reduce_groups,
)

rings = st.builds(Ring, st.sampled_from([64, 128]), st.sampled_from([1, 3, 4]))
shapes = st.lists(st.tuples(st.integers(0, 63), st.integers(0, 5)), min_size=1, max_size=4)


def sharing(n: int, degree: int, ring: Ring, count: int, seed: int = 0):
    """Return secrets and their shares by random polynomials of this degree."""
    rng = random.Random(seed)
    exact = ring.exact

    def element():
        return exact.element(rng.getrandbits(ring.bits) for _ in range(ring.degree))

    polynomials = [[element() for _ in range(degree + 1)] for _ in range(count)]
    vectors = {}
    for i in range(1, n + 1):
        powers = [exact.power(exact.point(i), k) for k in range(degree + 1)]
        vectors[i] = ring.from_exact([exact.combine(p, powers) for p in polynomials])
    return ring.from_exact([p[0] for p in polynomials]), vectors


@settings(max_examples=60, deadline=None)
@given(ring=rings, groups=shapes, seed=st.integers(0, 2**32))
def test_encoding_is_a_bijection_of_reduced_vectors(ring: Ring, groups, seed: int) -> None:
    groups = tuple(groups)
    count = sum(size for _, size in groups)
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2**64, ring.shape(count), dtype=np.uint64)
    reduced = reduce_groups(values, groups, ring)

    data = encode_words(reduced, groups, ring)

    assert (decode_words(data, groups, ring) == reduced).all()
    widths = [-(-(ring.bits - weight) // 8) for weight, _ in groups]
    sizes = [size * ring.degree * w for (_, size), w in zip(groups, widths, strict=True)]
    assert len(data) == sum(sizes)


def test_the_encoding_is_coefficients_in_order_little_endian() -> None:
    ring = Ring(64, 3)
    values = np.array([[1, 0x0203, 0], [0x7F, 0x1F_FF, 5]], np.uint64)

    data = encode_words(values, ((0, 1), (51, 1)), ring)

    assert data.hex() == "0100000000000000030200000000000000000000000000007f00ff1f0500"


@pytest.mark.parametrize("bits", [64, 128])
def test_a_coefficient_wider_than_its_ring_is_neither_sent_nor_accepted(bits: int) -> None:
    ring = Ring(bits, 3)
    groups = ((0, 1), (3, 2))
    values = ring.zeros(3)
    data = bytearray(encode_words(values, groups, ring))
    data[-1] = 0x20  # bit K - 3 of the last coefficient
    top = values.reshape(3, 3, -1)
    top[2, 2, -1] = np.uint64(1) << np.uint64(61)

    with pytest.raises(CeremonyError, match="RF-BATCH-003"):
        decode_words(bytes(data), groups, ring)
    with pytest.raises(CeremonyError, match="RF-BATCH-008"):
        encode_words(values, groups, ring)
    data[-1] = 0x1F
    decode_words(bytes(data), groups, ring)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_vector_of_another_length_is_refused(change: int) -> None:
    ring = Ring(64, 4)
    data = encode_words(ring.zeros(5), ((0, 5),), ring)

    with pytest.raises(CeremonyError, match="RF-BATCH-002"):
        decode_words(data[:change] if change < 0 else data + b"\0", ((0, 5),), ring)


def test_weights_follow_the_groups() -> None:
    assert element_weights(((0, 2), (7, 1), (3, 2))).tolist() == [0, 0, 7, 3, 3]


@pytest.mark.parametrize(("n", "t"), [(4, 1), (7, 2), (13, 4)])
@pytest.mark.parametrize("bits", [64, 128])
def test_double_openings_come_from_any_2t_plus_1_operators(n: int, t: int, bits: int) -> None:
    ring = Ring(bits, degree_for(n))
    secrets, vectors = sharing(n, 2 * t, ring, 6)
    groups = ((0, 4), (5, 2))
    expected = reduce_groups(secrets.copy(), groups, ring)
    low = {i: reduce_groups(vector.copy(), groups, ring) for i, vector in vectors.items()}

    for start in range(n):
        chosen = {(start + k) % n + 1 for k in range(2 * t + 1)}
        assert (decode_double({i: low[i] for i in chosen}, t, groups, ring) == expected).all()


@pytest.mark.parametrize("count", [2, 4])
def test_double_openings_take_exactly_2t_plus_1_vectors(count: int) -> None:
    ring = Ring(64, 3)
    _, vectors = sharing(4, 2, ring, 1)

    with pytest.raises(CeremonyError, match="RF-BATCH-004"):
        decode_double({i: vectors[i] for i in range(1, count + 1)}, 1, ((0, 1),), ring)


@pytest.mark.parametrize(("n", "t"), [(4, 1), (7, 2), (13, 4)])
@pytest.mark.parametrize("bits", [64, 128])
def test_single_openings_need_n_minus_t_vectors_on_one_polynomial(
    n: int, t: int, bits: int
) -> None:
    ring = Ring(bits, degree_for(n))
    secrets, vectors = sharing(n, t, ring, 5)
    chosen = {i: vectors[i] for i in range(t + 1, n + 1)}

    assert (decode_single(chosen, t, n - t, ring) == secrets).all()
    assert (decode_single(vectors, t, n - t, ring) == secrets).all()
    del chosen[n]
    with pytest.raises(CeremonyError, match="RF-BATCH-005"):
        decode_single(chosen, t, n - t, ring)


def test_a_lie_among_n_minus_t_vectors_opens_nothing_and_accuses_nobody() -> None:
    ring = Ring(64, 3)
    _, vectors = sharing(4, 1, ring, 5)
    chosen = {i: vectors[i].copy() for i in (1, 2, 4)}
    chosen[2][3, 1] += np.uint64(1)

    with pytest.raises(CeremonyError, match="RF-BATCH-006") as refusal:
        decode_single(chosen, 1, 3, ring)

    assert refusal.value.found == "no polynomial that enough of them fit"
    assert fitting_operators(chosen, 1, 3, ring) == ()


@pytest.mark.parametrize("bits", [64, 128])
def test_t_liars_are_named_once_all_operators_have_sent(bits: int) -> None:
    ring = Ring(bits, 3)
    secrets, vectors = sharing(7, 2, ring, 20)
    vectors[1].reshape(20, 3, -1)[3, 0, 0] ^= np.uint64(1 << 40)
    vectors[4].reshape(20, 3, -1)[11, 2, -1] += np.uint64(1)

    with pytest.raises(CeremonyError, match="RF-BATCH-006") as refusal:
        decode_single(vectors, 2, 5, ring)

    assert refusal.value.found == "operators off it: 1, 4"
    honest = fitting_operators(vectors, 2, 5, ring)
    assert honest == (2, 3, 5, 6, 7)
    assert (decode_single({i: vectors[i] for i in honest}, 2, 5, ring) == secrets).all()


def test_any_four_of_thirteen_may_lie_in_concert() -> None:
    """t liars on a second polynomial of their own: the honest one is still found."""
    ring = Ring(64, 4)
    secrets, vectors = sharing(13, 4, ring, 2)
    _, forged = sharing(13, 4, ring, 2, seed=1)
    for i in (2, 6, 9, 13):
        vectors[i] = forged[i]

    honest = fitting_operators(vectors, 4, 9, ring)

    assert honest == (1, 3, 4, 5, 7, 8, 10, 11, 12)
    assert (decode_single({i: vectors[i] for i in honest}, 4, 9, ring) == secrets).all()
