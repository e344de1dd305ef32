"""Sums over key streams: every way to make them gives the sum of the integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_core.kernels.backend import available_modes
from mpc_core.ring.points import (
    RUN_BOUND,
    pair_runs,
    quartet_places,
    share_constants,
    zero_constants,
)
from mpc_core.sharing import sums
from mpc_core.sharing.prss import expand
from mpc_core.sharing.sets import sets_of, zero_family
from mpc_core.sharing.sums import stream_sums
from tests.support.modes import every_mode, use
from tests.support.rings import REFERENCE_COMMITTEES, key_of, keys_of, ring_of, seeds

word_sizes = pytest.mark.parametrize("bits", [64, 128])


def plain_sums(keys, constants, count, ring, first):
    """Return sum_s constants_s * r_s in Python integers: the reference of `StreamSums.fill`."""
    size = ring.bits // 8
    block, skip = divmod(first * size, 16)
    total = [ring.exact.zero] * count
    for key, constant in zip(keys, constants.tolist(), strict=True):
        data = expand(key, block, (skip + count * size) // 16 + 1).tobytes()[skip:]
        words = (int.from_bytes(data[size * k : size * (k + 1)], "little") for k in range(count))
        total = [
            ring.exact.add(old, ring.exact.scale(ring.exact.element(constant), word))
            for old, word in zip(total, words, strict=True)
        ]
    return total


def filled(keys, constants, count, ring, first):
    out = np.full(ring.shape(count), 7, np.uint64)
    stream_sums(keys, constants, ring).fill(out, first)
    return ring.to_exact(out)


def in_every_mode(*arguments):
    found = {}
    for mode in available_modes():
        with pytest.MonkeyPatch.context() as patch:
            use(mode, patch)
            found[mode] = filled(*arguments)
    return found


@given(
    seeds,
    st.sampled_from(REFERENCE_COMMITTEES),
    st.sampled_from([64, 128]),
    st.integers(0, 40),
    st.sampled_from([0, 1, 2, 3, 4095, 2**33 + 1]),
)
@settings(max_examples=25, deadline=None)
def test_shares_are_the_integer_sums_in_every_mode(seed, committee, bits, count, first):
    n, t = committee
    at, ring = seed % n + 1, ring_of(n, bits)
    sets = sets_of(n, t, at)
    keys = [key_of(a, str(seed), bits) for a in sets]
    constants = share_constants(at, n, sets)
    expected = plain_sums(keys, constants, count, ring, first)
    for mode, found in in_every_mode(keys, constants, count, ring, first).items():
        assert found == expected, mode


@pytest.mark.parametrize(("n", "t"), REFERENCE_COMMITTEES)
@word_sizes
def test_mask_sums_are_the_integer_sums_in_every_mode(n, t, bits):
    at, ring = n // 2, ring_of(n, bits)
    family = tuple(members for members in zero_family(n, t) if at in members)
    keys = [key_of(members, "zero", bits) for members in family]
    constants = zero_constants(at, n, family)
    expected = plain_sums(keys, constants, 19, ring, 5)
    for mode, found in in_every_mode(keys, constants, 19, ring, 5).items():
        assert found == expected, mode


@every_mode
@word_sizes
def test_extreme_constants_and_streams_do_not_overflow(monkeypatch, mode, bits):
    use(mode, monkeypatch)
    ring = ring_of(13, bits)
    keys = [key_of((number,), "bits", bits) for number in range(1, 10)]
    constants = np.full((9, 4), 2**15 - 1, np.int32)
    constants[:, 1] = -(2**15) + 1
    constants[::2, 2] = 0
    assert len(pair_runs(constants)) > 1
    expected = plain_sums(keys, constants, 33, ring, 1)
    assert filled(keys, constants, 33, ring, 1) == expected


@every_mode
@word_sizes
@pytest.mark.parametrize(("n", "t"), [(4, 1), (7, 2)])
def test_sums_do_not_depend_on_tiles_or_order(monkeypatch, mode, bits, n, t):
    use(mode, monkeypatch)
    monkeypatch.setattr(sums, "FUSED_TILE_BLOCKS", 32)
    monkeypatch.setattr(sums, "LIBRARY_TILE_BLOCKS", 32)
    monkeypatch.setattr(sums, "GROUP", 4)
    ring, sets = ring_of(n, bits), sets_of(n, t, 1)
    keys = list(keys_of(n, t, 1, "bits", bits).values())
    prepared = stream_sums(keys, share_constants(1, n, sets), ring)
    whole = np.empty(ring.shape(700), np.uint64)
    prepared.fill(whole, 3)
    for start, stop in ((600, 700), (0, 1), (1, 64), (64, 600)):
        part = np.empty(ring.shape(stop - start), np.uint64)
        prepared.fill(part, 3 + start)
        assert np.array_equal(part, whole[start:stop])
    assert ring.to_exact(whole[:40]) == plain_sums(keys, share_constants(1, n, sets), 40, ring, 3)


def test_runs_keep_sums_within_32_bits_and_hold_every_pair_once():
    generator = np.random.default_rng(3)
    constants = generator.integers(-17_791, 17_792, (55, 4), dtype=np.int32)
    ends = pair_runs(constants)
    assert ends[-1] == 28
    for start, stop in zip((0, *ends), ends, strict=False):
        run = np.abs(constants[2 * start : 2 * stop]).sum(axis=0)
        assert start < stop
        assert run.max() <= RUN_BOUND
        assert run.max() * 2**15 < 2**31


def test_the_streams_of_four_operators_are_told_by_their_constants():
    for at in range(1, 5):
        constants = share_constants(at, 4, sets_of(4, 1, at))
        differences = (-3, -2, -1, 1, 2, 3)
        expected = tuple(differences.index(at - j) for j in (4, 3, 2, 1) if j != at)
        assert quartet_places(constants) == expected
    assert quartet_places(share_constants(1, 7, sets_of(7, 2, 1))) is None
    assert quartet_places(constants[[0, 0, 1]]) is None


def test_constants_of_other_streams_are_refused():
    keys = list(keys_of(4, 1, 1, "bits", 64).values())
    constants = share_constants(1, 4, sets_of(4, 1, 1))
    with pytest.raises(ValueError, match="other streams"):
        stream_sums(keys[:2], constants, ring_of(4, 64))
