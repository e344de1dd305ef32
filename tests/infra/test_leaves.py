import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.leaves import LeafHasher
from mpc_core.protocol.merkle import chunk_root, leaf_hash


@given(
    pieces=st.lists(st.binary(max_size=40), max_size=20),
    leaf_bytes=st.integers(min_value=1, max_value=50),
)
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
