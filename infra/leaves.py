"""The Merkle root of bytes that pass by: leaves are hashed while their bytes are hot."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.protocol import merkle

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mpc_core.sharing.opening import Buffer

__all__ = ["LeafHasher", "hash_in_pairs", "leaf_root"]

_BLOCK_BYTES = 64
_in_pairs: list[Callable[[NDArray[np.uint8]], tuple[bytes, bytes]]] = []
"""What hashes two leaves at once, if this process has it."""


def hash_in_pairs() -> None:
    """Hash leaves two at a time from now on, where the CPU has instructions for it.

    Call it before other threads hash anything: it loads a kernel.

    Raises:
        CeremonyError: RF-KERNEL-002 if the kernel gives other hashes than the library.
    """
    from mpc_core.kernels.backend import hashes_in_pairs  # noqa: PLC0415 loads the compiler

    if hashes_in_pairs() and not _in_pairs:
        from mpc_core.kernels.sha256 import hash_two_leaves  # noqa: PLC0415 compiles it

        _in_pairs.append(hash_two_leaves)


class LeafHasher:
    """Cuts a stream into leaves and hashes them, whatever pieces it arrives in."""

    __slots__ = ("_closed", "_leaf_bytes", "_pending", "size")

    def __init__(self, leaf_bytes: int) -> None:
        """Start with no bytes; all leaves but the last will have `leaf_bytes` of them."""
        self.size = 0
        self._leaf_bytes = leaf_bytes
        self._closed: list[bytes] = []
        pairs = bool(_in_pairs) and not leaf_bytes % _BLOCK_BYTES
        self._pending: _OneLeaf | _TwoLeaves = (_TwoLeaves if pairs else _OneLeaf)(leaf_bytes)

    def update(self, piece: Buffer) -> None:
        """Take the next bytes; nothing of `piece` is kept."""
        rest = memoryview(piece).cast("B")
        self.size += len(rest)
        while rest:
            rest = self._pending.take(rest, self._closed)

    def leaves(self) -> tuple[bytes, ...]:
        """Return the hash of every leaf so far, the last one as long as it is now."""
        return (*self._closed, *self._pending.hashes())

    def root(self) -> bytes:
        """Return the Merkle root over all bytes so far."""
        return merkle.root(self.leaves())


def leaf_root(data: Buffer, leaf_bytes: int) -> bytes:
    """Return the Merkle root of bytes that are all here."""
    hasher = LeafHasher(leaf_bytes)
    hasher.update(data)
    return hasher.root()


class _OneLeaf:
    """The leaf that is not full yet, hashed as far as it goes."""

    __slots__ = ("_leaf", "_leaf_bytes", "_room")

    def __init__(self, leaf_bytes: int) -> None:
        self._leaf_bytes = leaf_bytes
        self._open()

    def _open(self) -> None:
        self._leaf = hashlib.sha256(b"\x00")
        self._room = self._leaf_bytes

    def take(self, rest: memoryview, closed: list[bytes]) -> memoryview:
        """Take what fits; add the hash of a leaf that is full. Returns what did not fit."""
        taken = rest[: self._room]
        self._leaf.update(taken)
        self._room -= len(taken)
        if not self._room:
            closed.append(self._leaf.digest())
            self._open()
        return rest[len(taken) :]

    def hashes(self) -> tuple[bytes, ...]:
        return () if self._room == self._leaf_bytes else (self._leaf.digest(),)


class _TwoLeaves:
    """The bytes of up to two leaves, which are hashed together once they are full."""

    __slots__ = ("_bytes", "_filled", "_leaf_bytes")

    def __init__(self, leaf_bytes: int) -> None:
        self._leaf_bytes, self._filled = leaf_bytes, 0
        self._bytes: NDArray[np.uint8] | None = None

    def take(self, rest: memoryview, closed: list[bytes]) -> memoryview:
        """Take what fits; add the hashes of leaves that are full. Returns what did not fit."""
        size = 2 * self._leaf_bytes
        taken = rest[: size - self._filled]
        if len(taken) == size:
            closed.extend(self._hash_two(np.frombuffer(taken, np.uint8)))
        else:
            if self._bytes is None:
                self._bytes = np.empty(size, np.uint8)
            self._bytes.data[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            if self._filled == size:
                closed.extend(self._hash_two(self._bytes))
                self._filled = 0
        return rest[len(taken) :]

    def _hash_two(self, data: NDArray[np.uint8]) -> tuple[bytes, bytes]:
        return _in_pairs[0](data.reshape(2, self._leaf_bytes))

    def hashes(self) -> tuple[bytes, ...]:
        if self._bytes is None:
            return ()
        pending = self._bytes.data[: self._filled]
        starts = range(0, self._filled, self._leaf_bytes)
        return tuple(merkle.leaf_hash(pending[at : at + self._leaf_bytes]) for at in starts)
