"""Merkle trees of RFC 6962: the log of the board, and the digest of every piece of bulk data.

An inner node commits to its two children, a leaf to its bytes, each under a prefix of its own, so
no node passes for a leaf. A tree of `size` leaves splits at the largest power of two below `size`:
every prefix of a log is made of complete subtrees that never change again.

Security: SHA-256 is collision resistant; two different lists of leaves never share a root and size.
Source: RFC 6962 section 2.1; verification as in RFC 9162 sections 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "EMPTY_ROOT",
    "Frontier",
    "MerkleTree",
    "chunk_root",
    "leaf_hash",
    "node_hash",
    "root",
    "root_of_chunks",
    "verify_consistency",
    "verify_inclusion",
]

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes | memoryview) -> bytes:
    """Return the hash of a leaf with these bytes."""
    digest = hashlib.sha256(b"\x00")
    digest.update(data)
    return digest.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the inner node above two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over leaves given by their hashes."""
    frontier = Frontier()
    for leaf in leaf_hashes:
        frontier.append(leaf)
    return frontier.root()


def root_of_chunks(chunks: Iterable[bytes | memoryview]) -> bytes:
    """Return the root over leaves given by their bytes."""
    return root(leaf_hash(chunk) for chunk in chunks)


def chunk_root(data: bytes | bytearray | memoryview, leaf_bytes: int) -> bytes:
    """Return the root of `data` cut into leaves of `leaf_bytes` bytes, the last one shorter."""
    view = memoryview(data).cast("B")
    return root_of_chunks(view[at : at + leaf_bytes] for at in range(0, len(view), leaf_bytes))


class Frontier:
    """The roots of the complete subtrees of a growing list: all that later roots depend on."""

    __slots__ = ("_subtrees", "size")

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add a leaf by its hash."""
        node, carries = leaf, self.size
        while carries & 1:
            node = node_hash(self._subtrees.pop(), node)
            carries >>= 1
        self._subtrees.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        return _fold(self._subtrees)


class MerkleTree:
    """A growing tree that keeps its complete subtrees: the root of every prefix, and all proofs."""

    __slots__ = ("_levels",)

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaf_hashes:
            self.append(leaf)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> int:
        """Add a leaf by its hash and return its index."""
        index = len(self)
        node, level = leaf, 0
        while True:
            if level == len(self._levels):
                self._levels.append([])
            nodes = self._levels[level]
            nodes.append(node)
            if len(nodes) % 2:
                return index
            node = node_hash(nodes[-2], nodes[-1])
            level += 1

    def leaf(self, index: int) -> bytes:
        """Return the hash of the leaf at `index`."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._levels[0][index]

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first `size` leaves, all by default."""
        size = len(self) if size is None else size
        self._check_size(size)
        return self._range(0, size)

    def inclusion(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """Return the proof that leaf `index` is among the first `size` leaves."""
        size = len(self) if size is None else size
        self._check_size(size)
        if not 0 <= index < size:
            raise IndexError(index)
        proof: list[bytes] = []
        low, high = 0, size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                proof.append(self._range(middle, high))
                high = middle
            else:
                proof.append(self._range(low, middle))
                low = middle
        return tuple(reversed(proof))

    def consistency(self, first: int, size: int | None = None) -> tuple[bytes, ...]:
        """Return the proof that the first `size` leaves begin with the first `first` ones."""
        size = len(self) if size is None else size
        self._check_size(size)
        if not 0 <= first <= size:
            raise IndexError(first)
        if first in {0, size}:
            return ()
        proof: list[bytes] = []
        low, high = 0, size
        while first != high:
            middle = low + _split(high - low)
            if first <= middle:
                proof.append(self._range(middle, high))
                high = middle
            else:
                proof.append(self._range(low, middle))
                low = middle
        if low:
            proof.append(self._range(low, high))
        return tuple(reversed(proof))

    def _check_size(self, size: int) -> None:
        if not 0 <= size <= len(self):
            raise IndexError(size)

    def _range(self, low: int, high: int) -> bytes:
        """Return the root over leaves low..high-1; `low` is a multiple of each subtree's width."""
        subtrees = []
        while low < high:
            level = (high - low).bit_length() - 1
            subtrees.append(self._levels[level][low >> level])
            low += 1 << level
        return _fold(subtrees)


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root_hash: bytes
) -> bool:
    """Tell whether `proof` shows the leaf hash at `index` of the tree with this size and root."""
    if not 0 <= index < size:
        return False
    sides = _sides(index, size - 1)
    if len(proof) != len(sides):
        return False
    node = leaf
    for is_left, sibling in zip(sides, proof, strict=True):
        node = node_hash(sibling, node) if is_left else node_hash(node, sibling)
    return node == root_hash


def verify_consistency(
    first: int, size: int, first_root: bytes, root_hash: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether `proof` shows that the tree of `size` leaves begins with that of `first`."""
    if not 0 < first < size:
        trivial = first == size and first_root == root_hash
        empty = first == 0 and size > 0 and first_root == EMPTY_ROOT
        return not proof and (trivial or empty)
    width = (first & -first).bit_length() - 1
    sides = _sides((first - 1) >> width, (size - 1) >> width)
    start = first_root if first == 1 << width else next(iter(proof), b"")
    rest = proof if first == 1 << width else proof[1:]
    if len(rest) != len(sides):
        return False
    old = new = start
    for is_left, sibling in zip(sides, rest, strict=True):
        old = node_hash(sibling, old) if is_left else old
        new = node_hash(sibling, new) if is_left else node_hash(new, sibling)
    return old == first_root and new == root_hash


def _sides(at: int, last: int) -> list[bool]:
    """Return for each node on the way up from place `at` whether its sibling is on its left.

    `last` is the last place of that level; a node without a sibling takes no step.
    """
    sides = []
    while last:
        if at & 1:
            sides.append(True)
        elif at < last:
            sides.append(False)
        at >>= 1
        last >>= 1
    return sides


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _fold(subtrees: list[bytes]) -> bytes:
    """Join the roots of neighbouring complete subtrees of falling width, right to left."""
    if not subtrees:
        return EMPTY_ROOT
    node = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        node = node_hash(left, node)
    return node
