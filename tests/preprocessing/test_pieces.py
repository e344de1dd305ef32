"""Batches of bits in pieces: bytes and shares are those of the plain functions, in every mode."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_core.kernels.backend import available_modes
from mpc_core.preprocessing import bits as module
from mpc_core.preprocessing import noise as noise_module
from mpc_core.preprocessing import tiles
from mpc_core.preprocessing.batches import Segment, WeightGroup, noise_groups
from mpc_core.preprocessing.bits import (
    OpenedBits,
    bit_share_vector,
    bit_shares,
    bit_vector_pieces,
    check_even,
    opened_bit_shares,
)
from mpc_core.preprocessing.noise import noise_shares, opened_noise_shares
from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.galois import Ring, RingArray
from mpc_core.sharing.opening import encode_words
from mpc_core.sharing.prss import prss_sums
from mpc_core.sharing.zero import zero_sums
from tests.support.modes import every_mode, use
from tests.support.rings import REFERENCE_COMMITTEES, keys_of, ring_of, seeds

word_sizes = pytest.mark.parametrize("bits", [64, 128])
Groups = tuple[WeightGroup, ...]


def elements_of(groups: Groups, ring: Ring) -> tuple[tuple[int, int], ...]:
    return tuple((group.weight, -(-group.bits // ring.degree)) for group in groups)


def random_groups(draw: random.Random, bits: int) -> Groups:
    """Weights of every kind, the first one narrow; sizes around those of strips and elements."""
    weights = [bits - 1, 0, *draw.choices(range(bits), k=4)]
    sizes = [1, 2, 3, 4, 5, 63, 64, 65, 130]
    return tuple(WeightGroup(weight, draw.choice(sizes)) for weight in weights)


def random_opening(draw: random.Random, groups: Groups, ring: Ring) -> RingArray:
    """Even values, as wide as they may be."""
    return ring.from_exact(
        [
            tuple(draw.getrandbits(ring.bits - weight) & ~1 for _ in range(ring.degree))
            for weight, count in elements_of(groups, ring)
            for _ in range(count)
        ]
    )


def sums_of(n, t, at, bits):
    """The sums for x and for the masks, in the mode that is in use."""
    ring, stream_keys = ring_of(n, bits), partial(keys_of, n, t, at, bits=bits)
    x = prss_sums(stream_keys(stream="bits"), at, ring)
    return x, zero_sums(stream_keys(stream="zero"), at, ring)


def joined(pieces) -> bytes:
    """A piece is only good until the next one is asked for."""
    return b"".join(bytes(piece) for piece in pieces)


@given(seeds, st.sampled_from(REFERENCE_COMMITTEES), st.sampled_from([64, 128]))
@settings(max_examples=16, deadline=None)
def test_pieces_are_the_encoded_share_vector(seed, committee, bits) -> None:
    draw = random.Random(seed)
    n, t = committee
    at, ring, groups = draw.randint(1, n), ring_of(n, bits), random_groups(draw, bits)
    keys = [keys_of(n, t, at, stream, bits) for stream in ("bits", "zero")]
    vector = bit_share_vector(*keys, at, groups, ring)
    expected = encode_words(vector, elements_of(groups, ring), ring)
    for mode in available_modes():
        with pytest.MonkeyPatch.context() as patch:
            use(mode, patch)
            sums = sums_of(n, t, at, bits)
            assert joined(bit_vector_pieces(*sums, at, groups, ring)) == expected, mode


@given(seeds, st.sampled_from(REFERENCE_COMMITTEES), st.sampled_from([64, 128]))
@settings(max_examples=16, deadline=None)
def test_shares_from_an_encoded_opening_are_the_shares_of_the_bits(seed, committee, bits) -> None:
    draw = random.Random(seed)
    n, t = committee
    at, ring, groups = draw.randint(1, n), ring_of(n, bits), random_groups(draw, bits)
    keys = keys_of(n, t, at, "bits", bits)
    v = random_opening(draw, groups, ring)
    encoded = encode_words(v, elements_of(groups, ring), ring)
    expected = bit_shares(keys, at, groups, v, ring)
    for mode in available_modes():
        with pytest.MonkeyPatch.context() as patch:
            use(mode, patch)
            x, _ = sums_of(n, t, at, bits)
            found = opened_bit_shares(x, groups, memoryview(encoded), ring)
            assert np.array_equal(found, expected), mode


@given(seeds, st.sampled_from(REFERENCE_COMMITTEES), st.sampled_from([64, 128]))
@settings(max_examples=16, deadline=None)
def test_noise_from_an_encoded_opening_is_the_sum_of_its_bits(seed, committee, bits) -> None:
    draw = random.Random(seed)
    n, t = committee
    at, ring = draw.randint(1, n), ring_of(n, bits)
    bounds = (0, draw.randrange(20), bits - 7)
    segments = tuple(
        Segment(item, 3, draw.choice([1, 2, 7, 70]), bound) for item, bound in enumerate(bounds, 1)
    )
    groups = noise_groups(segments)
    keys = keys_of(n, t, at, "bits", bits)
    v = random_opening(draw, groups, ring)
    encoded = encode_words(v, elements_of(groups, ring), ring)
    expected = noise_shares(bit_shares(keys, at, groups, v, ring), segments, ring)
    for mode in available_modes():
        with pytest.MonkeyPatch.context() as patch:
            use(mode, patch)
            x, _ = sums_of(n, t, at, bits)
            found = opened_noise_shares(x, segments, encoded, ring)
            assert np.array_equal(found, expected), mode


@every_mode
@word_sizes
def test_tiles_and_pieces_change_nothing(monkeypatch, mode: str, bits: int) -> None:
    use(mode, monkeypatch)
    at, ring, draw = 2, ring_of(4, bits), random.Random(bits)
    segments = (Segment(1, 0, 200, 9), Segment(2, 0, 33, 3))
    groups = noise_groups(segments)
    keys = [keys_of(4, 1, at, stream, bits) for stream in ("bits", "zero")]
    x, masks = sums_of(4, 1, at, bits)
    v = encode_words(random_opening(draw, groups, ring), elements_of(groups, ring), ring)
    vector = joined(bit_vector_pieces(x, masks, at, groups, ring))
    shares = opened_bit_shares(x, groups, v, ring)
    noise = opened_noise_shares(x, segments, v, ring)
    assert vector == encode_words(
        bit_share_vector(*keys, at, groups, ring), elements_of(groups, ring), ring
    )

    monkeypatch.setattr(tiles, "TILE_BLOCKS", 20)
    monkeypatch.setattr(module, "PIECE_BYTES", 7 * 3 * bits // 8)
    monkeypatch.setattr(noise_module, "TILE_BODIES", 50)
    pieces = [bytes(piece) for piece in bit_vector_pieces(x, masks, at, groups, ring)]

    assert len(pieces) > len(groups)
    assert b"".join(pieces) == vector
    assert np.array_equal(opened_bit_shares(x, groups, v, ring), shares)
    assert np.array_equal(opened_noise_shares(x, segments, v, ring), noise)


@word_sizes
@pytest.mark.parametrize("weight", [0, 1, 3, 8, 21])
def test_one_odd_coefficient_anywhere_is_refused(bits: int, weight: int) -> None:
    ring, groups = Ring(bits, 3), (WeightGroup(2, 5), WeightGroup(weight, 100))
    shape = elements_of(groups, ring)
    x, _ = sums_of(4, 1, 1, bits)
    v = ring.zeros(2 + 34)
    check_even(encode_words(v, shape, ring), groups, ring)
    for element, coefficient in ((2, 0), (20, 1), (35, 0)):
        odd = v.copy()
        odd.reshape(36, 3, -1)[element, coefficient, 0] = 1
        encoded = encode_words(odd, shape, ring)
        with pytest.raises(CeremonyError, match="RF-BATCH-020"):
            check_even(encoded, groups, ring)
        with pytest.raises(CeremonyError, match="RF-BATCH-020"):
            opened_bit_shares(x, groups, encoded, ring)


def test_an_odd_value_in_an_unused_position_is_refused() -> None:
    ring, groups = Ring(64, 3), (WeightGroup(0, 4),)
    v = ring.zeros(2)
    v[1, 2] = 1
    with pytest.raises(CeremonyError, match="RF-BATCH-020"):
        check_even(encode_words(v, ((0, 2),), ring), groups, ring)


@word_sizes
@pytest.mark.parametrize("weight", [1, 4, 7, 9, 47, 59])
def test_a_coefficient_that_is_too_wide_is_refused(bits: int, weight: int) -> None:
    ring, groups = Ring(bits, 3), (WeightGroup(0, 3), WeightGroup(weight, 7))
    width = -(-(bits - weight) // 8)
    encoded = bytearray(3 * bits // 8 + 9 * width)
    check_even(bytes(encoded), groups, ring)
    first_bit = 8 * (3 * bits // 8 + 5 * width) + bits - weight
    encoded[first_bit // 8] |= 1 << first_bit % 8
    with pytest.raises(CeremonyError, match="RF-BATCH-003"):
        check_even(bytes(encoded), groups, ring)
    with pytest.raises(CeremonyError, match="RF-BATCH-003"):
        opened_bit_shares(sums_of(4, 1, 1, bits)[0], groups, bytes(encoded), ring)


@pytest.mark.parametrize("change", [-1, 1])
def test_an_opening_of_another_length_is_refused(change: int) -> None:
    ring, groups = Ring(64, 3), (WeightGroup(0, 3), WeightGroup(9, 6))
    size = 3 * 8 + 6 * 7
    x, _ = sums_of(4, 1, 1, 64)
    with pytest.raises(CeremonyError, match="RF-BATCH-002"):
        check_even(bytes(size + change), groups, ring)
    with pytest.raises(CeremonyError, match="RF-BATCH-002"):
        opened_bit_shares(x, groups, bytes(size + change), ring)


def test_more_bits_than_a_group_has_are_refused() -> None:
    ring, groups = Ring(64, 3), (WeightGroup(0, 6), WeightGroup(1, 6))
    opened = OpenedBits(sums_of(4, 1, 1, 64)[0], groups, bytes(2 * 48), ring)
    with pytest.raises(ValueError, match="more bits"):
        opened.add(0, 3, ring.zeros(4))
