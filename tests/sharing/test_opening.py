"""Share vectors on the wire, and what may be interpolated from them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.galois import Ring
from mpc_core.sharing.opening import (
    decode_words,
    encode_words,
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
