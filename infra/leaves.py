"""The Merkle root of bytes that pass by: each leaf is hashed while its bytes are hot."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mpc_core.protocol import merkle

if TYPE_CHECKING:
    from mpc_core.sharing.opening import Buffer

__all__ = ["LeafHasher"]


class LeafHasher:
    """Cuts a stream into leaves and hashes them, whatever pieces it arrives in."""

    __slots__ = ("_closed", "_leaf", "_leaf_bytes", "_room", "size")

    def __init__(self, leaf_bytes: int) -> None:
        """Start with no bytes; all leaves but the last will have `leaf_bytes` of them."""
        self.size = 0
        self._leaf_bytes = leaf_bytes
        self._closed: list[bytes] = []
        self._open_leaf()

    def _open_leaf(self) -> None:
        self._leaf = hashlib.sha256(b"\x00")
        self._room = self._leaf_bytes

    def update(self, piece: Buffer) -> None:
        """Take the next bytes; nothing of `piece` is kept."""
        rest = memoryview(piece).cast("B")
        self.size += len(rest)
        while rest:
            taken = rest[: self._room]
            self._leaf.update(taken)
            self._room -= len(taken)
            rest = rest[len(taken) :]
            if not self._room:
                self._closed.append(self._leaf.digest())
                self._open_leaf()

    def leaves(self) -> tuple[bytes, ...]:
        """Return the hash of every leaf so far, the last one as long as it is now."""
        if self._room == self._leaf_bytes:
            return tuple(self._closed)
        return (*self._closed, self._leaf.digest())

    def root(self) -> bytes:
        """Return the Merkle root over all bytes so far."""
        return merkle.root(self.leaves())
