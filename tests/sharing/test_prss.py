import hmac
import itertools
from hashlib import sha256

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.points import share_constants
from mpc_core.sharing import sums
from mpc_core.sharing.prss import (
    StreamKey,
    batch_key,
    expand,
    prss_ring_share,
    prss_share,
    share_of_streams,
)
from mpc_core.sharing.sets import access_sets, sets_of
from tests.support.rings import (
    SMALL_COMMITTEES,
    key_of,
    keys_of,
    ring_of,
    seeds,
)

committees = pytest.mark.parametrize(("n", "t"), SMALL_COMMITTEES)
word_sizes = pytest.mark.parametrize("bits", [64, 128])


def stream_words(key, first, count, bits):
    """Return words of a stream, one AES block at a time."""
    aes = Cipher(algorithms.AES(key.key), modes.ECB()).encryptor()
    size = bits // 8
    blocks = range((first + count) * size // 16 + 1)
    data = b"".join(aes.update(key.nonce + block.to_bytes(8, "big")) for block in blocks)
    return [
        int.from_bytes(data[size * k : size * (k + 1)], "little")
        for k in range(first, first + count)
    ]


def everybodys(share, n, t, ring, *arguments, stream="bits"):
    """Return the exact shares of every operator."""
    return {
        i: ring.to_exact(share(keys_of(n, t, i, stream, ring.bits), i, *arguments))
        for i in range(1, n + 1)
    }


def test_a_batch_key_is_hkdf_of_the_stage_key():
    context = b"some context"
    info = b"\0\0\0\x0csome context" + b"\0\0\0\x04bits" + (128).to_bytes(8, "big")
    extracted = hmac.digest(bytes(32), b"k" * 32, sha256)
    expected = hmac.digest(extracted, info + b"\x01", sha256)[:24]
    key = batch_key(b"k" * 32, context, "bits", 128)
    assert key.key + key.nonce == expected


def test_any_change_of_input_changes_the_key():
    inputs = [
        (b"k" * 32, b"ab", "c", 64),
        (b"l" * 32, b"ab", "c", 64),
        (b"k" * 32, b"a", "bc", 64),
        (b"k" * 32, b"abc", "", 64),
        (b"k" * 32, b"ab", "d", 64),
        (b"k" * 32, b"ab", "c", 128),
    ]
    keys = {(key.key, key.nonce) for key in (batch_key(*arguments) for arguments in inputs)}
    assert len(keys) == len(inputs)


def test_a_key_is_not_printed():
    key = StreamKey(b"0123456789abcdef", b"nonsense")
    assert "0123" not in repr(key)
    assert "nonsense" not in repr(key)


@pytest.mark.parametrize("first", [0, 1, 2**32 - 2, 2**63])
def test_a_stream_is_aes_of_nonce_and_block_index(first):
    key = StreamKey(b"0123456789abcdef", b"\xff" * 8)
    aes = Cipher(algorithms.AES(key.key), modes.ECB()).encryptor()
    expected = b"".join(aes.update(key.nonce + (first + k).to_bytes(8, "big")) for k in range(5))
    assert expand(key, first, 5).tobytes() == expected


def test_a_stream_has_the_same_bytes_in_pieces_of_any_size():
    key = key_of((1, 2, 3), "bits", 128)
    whole = expand(key, 0, 9000)
    parts = [expand(key, first, 3000) for first in (0, 3000, 6000)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert expand(key, 0, 0).size == 0


@committees
@word_sizes
def test_operators_share_the_sum_of_all_streams(n, t, bits):
    ring, first, count = ring_of(n, bits), 3, 6
    shares = everybodys(prss_share, n, t, ring, count, ring, first)
    streams = (stream_words(key_of(a, "bits", bits), first, count, bits) for a in access_sets(n, t))
    expected = [
        (sum(words) % 2**bits,) + (0,) * (ring.degree - 1) for words in zip(*streams, strict=True)
    ]
    assert list(ring.exact.vector_at_zero(shares, t)) == expected
    assert ring.exact.vectors_lie_on_polynomial(shares, t)
    assert not ring.exact.vectors_lie_on_polynomial(shares, t - 1)


@committees
@word_sizes
def test_ring_shares_take_d_words_a_secret(n, t, bits):
    ring, first, count = ring_of(n, bits), 2, 4
    d = ring.degree
    shares = everybodys(prss_ring_share, n, t, ring, count, ring, first)
    streams = [
        stream_words(key_of(a, "bits", bits), d * first, d * count, bits) for a in access_sets(n, t)
    ]
    words = [sum(column) % 2**bits for column in zip(*streams, strict=True)]
    expected = [tuple(words[d * e : d * (e + 1)]) for e in range(count)]
    assert list(ring.exact.vector_at_zero(shares, t)) == expected
    assert ring.exact.vectors_lie_on_polynomial(shares, t)


def test_thirteen_operators_share_at_degree_four():
    ring = ring_of(13, 128)
    shares = everybodys(prss_share, 13, 4, ring, 2, ring)
    assert ring.exact.vectors_lie_on_polynomial(shares, 4)
    assert not ring.exact.vectors_lie_on_polynomial(shares, 3)


@word_sizes
def test_shares_do_not_depend_on_how_a_batch_is_cut(bits):
    n, t = 4, 1
    ring, keys = ring_of(n, bits), keys_of(n, t, 2, "bits", bits)
    tile = sums.LIBRARY_TILE_BLOCKS * 128 // bits
    count = 2 * tile + 5
    whole = prss_share(keys, 2, count, ring)
    cuts = [0, 1, 4, tile - 1, tile + 3, count]
    parts = [
        prss_share(keys, 2, stop - start, ring, start) for start, stop in itertools.pairwise(cuts)
    ]
    assert np.array_equal(whole, np.concatenate(parts))
    assert prss_share(keys, 2, 0, ring).shape == ring.shape(0)


@given(seeds, st.sampled_from([(4, 1), (7, 2), (8, 2)]), st.sampled_from([64, 128]))
@settings(max_examples=20)
def test_the_sum_of_streams_agrees_with_integers(seed, committee, bits):
    n, t = committee
    ring, at, count, first = ring_of(n, bits), seed % n + 1, seed % 7, seed % 5
    sets = sets_of(n, t, at)
    keys = [key_of(a, str(seed), bits) for a in sets]
    constants = share_constants(at, n, sets)
    total = [ring.exact.zero] * count
    for key, constant in zip(keys, constants.tolist(), strict=True):
        words = stream_words(key, first, count, bits)
        total = [
            ring.exact.add(old, ring.exact.scale(ring.exact.element(constant), word))
            for old, word in zip(total, words, strict=True)
        ]
    assert ring.to_exact(share_of_streams(keys, constants, count, ring, first)) == total


def test_a_missing_or_foreign_set_is_refused():
    ring, keys = ring_of(7, 64), keys_of(7, 2, 3, "bits", 64)
    missing = dict(list(keys.items())[1:])
    foreign = keys | {(1, 2, 4, 5, 6): key_of((1, 2, 4, 5, 6), "bits", 64)}
    for wrong in (missing, foreign):
        with pytest.raises(CeremonyError, match="RF-RING-006"):
            prss_share(wrong, 3, 1, ring)


def test_a_ring_that_does_not_fit_the_committee_is_refused():
    with pytest.raises(ValueError, match="another ring"):
        prss_share(keys_of(4, 1, 1, "bits", 64), 1, 1, ring_of(13, 64))
