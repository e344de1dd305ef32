"""Noise: shares of E add up to TUniform, in every ring and for every bound."""

from __future__ import annotations

from collections import Counter

import pytest

from mpc_core.preprocessing.batches import FLOOD, Segment, noise_groups
from mpc_core.preprocessing.bits import bit_share_vector, bit_shares
from mpc_core.preprocessing.noise import noise_shares
from tests.support.committee import Committee


def noise_of(committee: Committee, segments: tuple[Segment, ...], bits: int) -> list[int]:
    """Run a noise batch among all operators and return the E, centred."""
    ring = committee.ring(bits)
    groups = noise_groups(segments)
    keys = {
        i: [committee.keys(i, "noise", stream, bits) for stream in ("bits", "zero")]
        for i in committee.operators
    }
    vectors = {i: bit_share_vector(*keys[i], i, groups, ring) for i in committee.operators}
    shape = tuple((group.weight, -(-group.bits // ring.degree)) for group in groups)
    v = committee.open_double(vectors, shape, ring)
    shares = {
        i: noise_shares(bit_shares(keys[i][0], i, groups, v, ring), segments, ring)
        for i in committee.operators
    }
    values = committee.reveal(shares, ring)
    assert all(not any(value[1:]) for value in values)
    half = 1 << (bits - 1)
    return [(value[0] + half) % (1 << bits) - half for value in values]


@pytest.mark.parametrize("bound", [0, 2])
def test_noise_has_the_tuniform_distribution(bound: int) -> None:
    count = 3000
    noise = noise_of(Committee(4, 1, "distribution"), (Segment(1, 0, count, bound),), 64)

    seen = Counter(noise)
    expected = {
        value: count / 2 ** (bound + 1) / (2 if abs(value) == 2**bound else 1)
        for value in range(-(2**bound), 2**bound + 1)
    }
    assert set(seen) <= set(expected)
    statistic = sum((seen[value] - mean) ** 2 / mean for value, mean in expected.items())
    critical = {0: 13.82, 2: 26.12}  # 2 and 8 degrees of freedom, 0.1 %
    assert statistic < critical[bound]


@pytest.mark.parametrize(("n", "t"), [(4, 1), (7, 2), (13, 4)])
@pytest.mark.parametrize(("bits", "bounds"), [(64, (45, 0, 17)), (128, (30, 3))])
def test_each_run_of_a_batch_keeps_to_its_own_bound(
    n: int, t: int, bits: int, bounds: tuple[int, ...]
) -> None:
    segments = tuple(Segment(number, 5, 12, bound) for number, bound in enumerate(bounds, 1))
    noise = noise_of(Committee(n, t), segments, bits)

    for place, bound in enumerate(bounds):
        run = noise[12 * place : 12 * place + 12]
        assert all(abs(value) <= 2**bound for value in run)
        assert max(abs(value) for value in run) > 2**bound // 4
        assert min(run) < 0 or max(run) > 0


def test_flood_noise_fills_its_range() -> None:
    noise = noise_of(Committee(4, 1), (Segment(FLOOD, 0, 20, 57),), 64)

    assert max(noise) > 2**55
    assert min(noise) < -(2**55)
    assert all(abs(value) <= 2**57 for value in noise)
