"""Random bits: what comes out of a batch are uniform bits in sharings of degree t."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_core.preprocessing.batches import WeightGroup
from mpc_core.preprocessing.bits import (
    bit_share_vector,
    bit_shares,
    check_parity,
    root_and_inverse,
)
from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.exact import ExactRing
from mpc_core.ring.galois import Ring
from mpc_core.sharing.prss import prss_share
from tests.support.committee import Committee

COMMITTEES = [(4, 1), (7, 2), (13, 4)]


def groups_for(bits: int, scale: int = 1) -> tuple[WeightGroup, ...]:
    """Weights of every width in bytes, the widest leaving two bits; not all groups fill up."""
    return (
        WeightGroup(0, 40 * scale),
        WeightGroup(3, 25),
        WeightGroup(45, 7),
        WeightGroup(bits - 2, 5),
    )


def element_groups(groups: tuple[WeightGroup, ...], ring: Ring) -> tuple[tuple[int, int], ...]:
    return tuple((group.weight, -(-group.bits // ring.degree)) for group in groups)


def vectors_of(committee: Committee, groups: tuple[WeightGroup, ...], ring: Ring):
    return {
        i: bit_share_vector(
            committee.keys(i, "batch", "bits", ring.bits),
            committee.keys(i, "batch", "zero", ring.bits),
            i,
            groups,
            ring,
        )
        for i in committee.operators
    }


@pytest.mark.parametrize(("n", "t"), COMMITTEES)
@pytest.mark.parametrize("bits", [64, 128])
def test_a_batch_yields_the_parity_of_x_times_its_weight(n: int, t: int, bits: int) -> None:
    committee = Committee(n, t)
    ring = committee.ring(bits)
    groups = groups_for(bits)
    vectors = vectors_of(committee, groups, ring)
    v = committee.open_double(vectors, element_groups(groups, ring), ring)

    shares = {
        i: bit_shares(committee.keys(i, "batch", "bits", bits), i, groups, v, ring)
        for i in committee.operators
    }

    count = sum(group.bits for group in groups)
    x = {
        i: prss_share(committee.keys(i, "batch", "bits", bits), i, count, ring)
        for i in committee.operators
    }
    weights = [group.weight for group in groups for _ in range(group.bits)]
    expected = [
        (value[0] % 2 << weight, *value[1:])
        for value, weight in zip(committee.reveal(x, ring), weights, strict=True)
    ]
    assert committee.reveal(shares, ring) == expected
    assert len({value[0] for value in expected}) == 1 + len(groups)


@pytest.mark.parametrize(("n", "t"), COMMITTEES)
@pytest.mark.parametrize("bits", [64, 128])
def test_every_group_of_a_share_vector_is_a_degree_2t_sharing_of_even_values(
    n: int, t: int, bits: int
) -> None:
    committee = Committee(n, t)
    ring = committee.ring(bits)
    groups = groups_for(bits)
    vectors = vectors_of(committee, groups, ring)

    start = 0
    for weight, count in element_groups(groups, ring):
        exact = ExactRing(bits - weight, ring.degree)
        part = {i: ring.to_exact(v[start : start + count]) for i, v in vectors.items()}
        assert all(c < 1 << (bits - weight) for row in part.values() for e in row for c in e)
        assert exact.vectors_lie_on_polynomial(part, 2 * t)
        assert not exact.vectors_lie_on_polynomial(part, 2 * t - 1)
        opened = exact.vector_at_zero(part, 2 * t)
        assert all(c % 2 == 0 for element in opened for c in element)
        start += count


@pytest.mark.parametrize("bits", [64, 128])
def test_the_opening_is_the_same_whoever_is_decoded_from(bits: int) -> None:
    committee = Committee(7, 2)
    ring = committee.ring(bits)
    groups = groups_for(bits)
    vectors = vectors_of(committee, groups, ring)
    shape = element_groups(groups, ring)

    openings = [committee.open_double(vectors, shape, ring, first) for first in range(1, 8)]

    assert all((opening == openings[0]).all() for opening in openings)


@pytest.mark.parametrize("bits", [64, 128])
def test_other_zero_masks_change_every_share_and_no_opening(bits: int) -> None:
    committee, other = Committee(7, 2), Committee(7, 2, "other")
    ring = committee.ring(bits)
    groups = groups_for(bits)
    vectors = vectors_of(committee, groups, ring)
    masked_otherwise = {
        i: bit_share_vector(
            committee.keys(i, "batch", "bits", bits),
            other.keys(i, "batch", "zero", bits),
            i,
            groups,
            ring,
        )
        for i in committee.operators
    }
    shape = element_groups(groups, ring)

    for i, vector in vectors.items():
        differs = (vector != masked_otherwise[i]).reshape(len(vector), -1)
        assert differs.any(axis=1)[:-2].all()  # the last group has two bits a coefficient
    opened = committee.open_double(vectors, shape, ring)
    assert (opened == committee.open_double(masked_otherwise, shape, ring)).all()


def test_another_batch_has_other_bits_and_other_masks() -> None:
    committee = Committee(4, 1)
    ring = committee.ring(64)
    groups = (WeightGroup(0, 30),)
    one, other = (
        bit_share_vector(
            committee.keys(1, batch, "bits", 64),
            committee.keys(1, batch, "zero", 64),
            1,
            groups,
            ring,
        )
        for batch in ("batch 0", "batch 1")
    )

    assert not (one == other).any()


def test_bits_are_balanced() -> None:
    committee = Committee(4, 1)
    ring = committee.ring(64)
    groups = (WeightGroup(0, 6000),)
    vectors = vectors_of(committee, groups, ring)
    v = committee.open_double(vectors, element_groups(groups, ring), ring)
    shares = {
        i: bit_shares(committee.keys(i, "batch", "bits", 64), i, groups, v, ring)
        for i in committee.operators
    }

    ones = sum(value[0] for value in committee.reveal(shares, ring))

    assert (2 * ones - 6000) ** 2 / 6000 < 10.83  # chi-square, one degree of freedom, 0.1 %


@pytest.mark.parametrize("bits", [64, 128])
def test_an_odd_opening_is_refused_without_saying_where(bits: int) -> None:
    ring = Ring(bits, 3)
    v = ring.zeros(50)
    check_parity(v, ring)
    v[17, 2] |= np.uint64(1)

    with pytest.raises(CeremonyError, match="RF-BATCH-020") as refusal:
        bit_shares(Committee(4, 1).keys(1, "b", "bits", bits), 1, (WeightGroup(0, 150),), v, ring)

    assert "17" not in refusal.value.render()


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.integers(0, 2**127 - 1), min_size=1, max_size=12),
    bits=st.sampled_from([64, 128]),
)
def test_kernel_and_reference_find_the_same_even_root(values: list[int], bits: int) -> None:
    from mpc_core.kernels import roots as kernel

    ring = Ring(bits, 1)
    v = ring.words_from_integers([2 * value for value in values])

    roots, inverses = root_and_inverse(v, bits)
    fast_roots, fast_inverses = kernel.root_and_inverse(v, bits)

    assert (roots == fast_roots).all()
    assert (inverses == fast_inverses).all()
    for value, root, inverse in zip(
        values,
        ring.words_to_integers(fast_roots),
        ring.words_to_integers(fast_inverses),
        strict=True,
    ):
        assert root % 2 == 0
        assert (root * root + root - 2 * value) % 2**bits == 0
        assert inverse * (-1 - 2 * root) % 2**bits == 1
