from itertools import combinations

import numpy as np
import pytest

from mpc_core.sharing.prss import StreamKey, expand
from mpc_core.sharing.sets import sets_containing, zero_family
from mpc_core.sharing.zero import zero_key, zero_mask
from tests.support.rings import COMMITTEES, SMALL_COMMITTEES, keys_of, ring_of

committees = pytest.mark.parametrize(("n", "t"), SMALL_COMMITTEES)
word_sizes = pytest.mark.parametrize("bits", [64, 128])


def masks_of(n, t, ring, count, first=0):
    return {
        i: ring.to_exact(zero_mask(keys_of(n, t, i, "zero", ring.bits), i, count, ring, first))
        for i in range(1, n + 1)
    }


@committees
@word_sizes
def test_masks_share_zero_at_degree_2t(n, t, bits):
    ring = ring_of(n, bits)
    masks = masks_of(n, t, ring, 5)
    assert ring.exact.vectors_lie_on_polynomial(masks, 2 * t)
    assert not ring.exact.vectors_lie_on_polynomial(masks, 2 * t - 1)
    assert set(ring.exact.vector_at_zero(masks, 2 * t)) == {ring.exact.zero}


def test_thirteen_operators_share_zero_at_degree_eight():
    ring = ring_of(13, 128)
    masks = masks_of(13, 4, ring, 2)
    assert ring.exact.vectors_lie_on_polynomial(masks, 8)
    assert set(ring.exact.vector_at_zero(masks, 8)) == {ring.exact.zero}


@word_sizes
def test_a_mask_is_the_sum_of_r_times_z_as_the_protocol_writes_it(bits):
    n, t, at, count = 7, 2, 5, 3
    ring = ring_of(n, bits)
    exact, d = ring.exact, ring.degree
    keys = keys_of(n, t, at, "zero", bits)
    expected = [exact.zero] * count
    for members in zero_family(n, t):
        if at not in members:
            continue
        z = exact.point(at)
        for j in set(range(1, n + 1)) - set(members):
            quotient = exact.multiply(exact.point(at), exact.inverse(exact.point(j)))
            z = exact.multiply(z, exact.sub(exact.one, quotient))
        data = expand(zero_key(keys, n, t, members), 0, d * count).tobytes()
        size = bits // 8
        words = [
            int.from_bytes(data[size * k : size * (k + 1)], "little") for k in range(d * count)
        ]
        for e in range(count):
            r = tuple(words[d * e : d * (e + 1)])
            expected[e] = exact.add(expected[e], exact.multiply(r, z))
    assert ring.to_exact(zero_mask(keys, at, count, ring)) == expected


@pytest.mark.parametrize(("n", "t"), COMMITTEES)
def test_every_coalition_outside_a_set_misses_one_of_its_keys(n, t):
    for members in zero_family(n, t):
        outside = set(range(1, n + 1)) - set(members)
        missing = [set(a) for a in sets_containing(n, t, members)]
        for coalition in combinations(sorted(outside), t):
            assert any(a.isdisjoint(coalition) for a in missing)


@committees
def test_the_members_of_a_set_derive_the_same_key(n, t):
    for members in zero_family(n, t):
        derived = {
            (key.key, key.nonce)
            for key in (zero_key(keys_of(n, t, i, "zero", 64), n, t, members) for i in members)
        }
        assert len(derived) == 1


def test_every_key_around_a_set_enters_its_key():
    n, t, members = 7, 2, zero_family(7, 2)[0]
    keys = keys_of(n, t, members[0], "zero", 64)
    original = zero_key(keys, n, t, members)
    for a in sets_containing(n, t, members):
        changed = keys | {a: StreamKey(keys[a].key, bytes(8))}
        assert zero_key(changed, n, t, members) != original


@word_sizes
def test_masks_do_not_depend_on_how_a_batch_is_cut(bits):
    ring = ring_of(4, bits)
    keys = keys_of(4, 1, 1, "zero", bits)
    whole = zero_mask(keys, 1, 11, ring)
    parts = [zero_mask(keys, 1, 3, ring), zero_mask(keys, 1, 8, ring, 3)]
    assert np.array_equal(whole, np.concatenate(parts))


def test_another_context_gives_other_masks():
    ring = ring_of(4, 64)
    masks = [
        zero_mask(keys_of(4, 1, 1, "zero", 64, context=context), 1, 4, ring)
        for context in (b"attempt 0", b"attempt 1")
    ]
    assert not (masks[0] == masks[1]).any()
