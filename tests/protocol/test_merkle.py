"""RFC 6962 trees: vectors of the certificate-transparency project, and brute force."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc_core.protocol.merkle import (
    EMPTY_ROOT,
    Frontier,
    MerkleTree,
    chunk_root,
    leaf_hash,
    node_hash,
    root,
    root_of_chunks,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def reference(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return node_hash(reference(leaves[:k]), reference(leaves[k:]))


def tree_of(size: int) -> MerkleTree:
    return MerkleTree(leaf_hash(str(index).encode()) for index in range(size))


def test_roots_match_the_vectors_of_certificate_transparency():
    tree = MerkleTree()
    for leaf, expected in zip(LEAVES, ROOTS, strict=True):
        tree.append(leaf_hash(leaf))
        assert tree.root().hex() == expected
    assert [tree.root(size).hex() for size in range(1, 9)] == ROOTS
    assert tree.root(0) == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_an_inclusion_proof_matches_the_vector():
    tree = MerkleTree(leaf_hash(leaf) for leaf in LEAVES)
    assert [node.hex() for node in tree.inclusion(0, 8)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [node.hex() for node in tree.consistency(6, 8)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_every_prefix_has_the_root_of_the_definition(leaves):
    frontier, tree = Frontier(), MerkleTree()
    for size, leaf in enumerate(leaves, 1):
        frontier.append(leaf_hash(leaf))
        assert tree.append(leaf_hash(leaf)) == size - 1
        assert frontier.root() == tree.root() == reference(leaves[:size])
    assert root_of_chunks(leaves) == root(map(leaf_hash, leaves)) == reference(leaves)
    assert all(tree.root(size) == reference(leaves[:size]) for size in range(len(leaves) + 1))


@given(st.data())
def test_inclusion_is_proved_for_the_right_leaf_place_and_tree_only(data):
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size))
    tree = tree_of(size)
    proof, leaf, top = tree.inclusion(index), tree.leaf(index), tree.root()
    assert verify_inclusion(leaf, index, size, proof, top)
    assert verify_inclusion(leaf, other, size, proof, top) == (other == index)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, top)
    assert not verify_inclusion(leaf, index, size, (*proof, leaf), top)
    assert not proof or not verify_inclusion(leaf, index, size, proof[:-1], top)
    assert not verify_inclusion(leaf, index, size, proof, EMPTY_ROOT)


@given(st.data())
def test_consistency_is_proved_for_a_true_prefix_only(data):
    size = data.draw(st.integers(0, 70))
    first = data.draw(st.integers(0, size))
    tree = tree_of(size)
    proof, old, new = tree.consistency(first), tree.root(first), tree.root()
    assert verify_consistency(first, size, old, new, proof)
    assert not verify_consistency(first, size, leaf_hash(b"forked"), new, proof)
    assert not verify_consistency(first, size, old, new, (*proof, new))
    if 0 < first < size:
        assert not verify_consistency(first, size, old, leaf_hash(b"forked"), proof)
        assert not verify_consistency(first, size, old, new, proof[:-1])
        assert not verify_consistency(first, size, old, new, ())
        assert not verify_consistency(size, first, new, old, proof)


@given(st.binary(max_size=200), st.integers(1, 50))
def test_the_chunk_root_is_the_root_of_the_chunks(data, leaf_bytes):
    chunks = [data[at : at + leaf_bytes] for at in range(0, len(data), leaf_bytes)]
    assert chunk_root(data, leaf_bytes) == reference(chunks)
    assert chunk_root(memoryview(bytearray(data)), leaf_bytes) == reference(chunks)


def test_proofs_of_what_the_tree_does_not_hold_are_refused():
    tree = tree_of(5)
    for ask in (
        lambda: tree.root(6),
        lambda: tree.leaf(-1),
        lambda: tree.inclusion(5),
        lambda: tree.inclusion(0, 6),
        lambda: tree.consistency(4, 3),
    ):
        with pytest.raises(IndexError):
            ask()
