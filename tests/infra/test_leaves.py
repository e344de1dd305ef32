"""Leaves have the same hashes whatever pieces they arrive in, one at a time or two at once."""

import hashlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra import leaves
from infra.leaves import LeafHasher, hash_in_pairs, leaf_root
from mpc_core.kernels import backend
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root, leaf_hash


@pytest.fixture
def alone(monkeypatch):
    """Hash one leaf at a time, whatever other tests have switched on."""
    monkeypatch.setattr(leaves, "_in_pairs", [])


@pytest.fixture
def pairs(alone):
    """Hash two leaves at once if this machine can, else stand in for it."""
    hash_in_pairs()
    if not leaves._in_pairs:
        leaves._in_pairs.append(lambda two: tuple(map(leaf_hash, (two[0].data, two[1].data))))


@pytest.mark.usefixtures("alone")
@given(
    pieces=st.lists(st.binary(max_size=40), max_size=20),
    leaf_bytes=st.integers(min_value=1, max_value=50),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_root_does_not_depend_on_the_pieces(pieces, leaf_bytes):
    hasher, whole = LeafHasher(leaf_bytes), b"".join(pieces)
    for end, piece in enumerate(pieces, 1):
        hasher.update(piece)
        assert hasher.root() == chunk_root(b"".join(pieces[:end]), leaf_bytes)
    assert hasher.size == len(whole)
    assert len(hasher.leaves()) == -(-len(whole) // leaf_bytes)


@pytest.mark.parametrize(
    "piece", [bytes(6), bytearray(6), memoryview(bytes(6)), np.zeros((2, 3), np.uint8)]
)
def test_a_piece_may_be_any_contiguous_bytes(piece):
    hasher = LeafHasher(4)
    hasher.update(piece)
    assert hasher.leaves() == (leaf_hash(bytes(4)), leaf_hash(bytes(2)))


@pytest.mark.usefixtures("pairs")
@given(
    sizes=st.lists(st.integers(0, 700), max_size=8),
    leaf_bytes=st.sampled_from([64, 128, 192, 100]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_two_leaves_at_once_have_the_hashes_of_each(sizes, leaf_bytes):
    whole = hashlib.shake_128(b"leaves").digest(sum(sizes))
    hasher, start = LeafHasher(leaf_bytes), 0
    for size in sizes:
        hasher.update(memoryview(whole)[start : start + size])
        start += size
        assert hasher.root() == chunk_root(whole[:start], leaf_bytes)
    assert hasher.size == len(whole)
    assert hasher.leaves() == tuple(
        leaf_hash(whole[at : at + leaf_bytes]) for at in range(0, len(whole), leaf_bytes)
    )
    assert leaf_root(whole, leaf_bytes) == chunk_root(whole, leaf_bytes)


@pytest.mark.usefixtures("pairs")
def test_a_piece_may_be_used_again_once_it_was_taken():
    hasher, piece = LeafHasher(64), bytearray(range(100))
    hasher.update(piece)
    before = bytes(piece)
    piece[:] = bytes(100)
    assert hasher.root() == chunk_root(before, 64)


@pytest.mark.usefixtures("alone")
def test_kernels_that_hash_wrongly_are_not_used(monkeypatch):
    if not backend.hashes_in_pairs():
        pytest.skip("this machine has no instructions for SHA-256")
    from mpc_core.kernels import sha256

    backend._check_hashes.cache_clear()
    monkeypatch.setattr(sha256, "STATES", sha256.STATES ^ 1)
    with pytest.raises(CeremonyError, match="RF-KERNEL-002"):
        hash_in_pairs()
    monkeypatch.undo()
    assert backend.hashes_in_pairs()


@pytest.mark.usefixtures("alone")
def test_portable_kernels_hash_one_leaf_at_a_time(monkeypatch):
    monkeypatch.setenv(backend.SETTING, "portable")
    hash_in_pairs()
    assert not leaves._in_pairs
