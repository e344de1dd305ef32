"""What an operator keeps, in memory: named byte strings, blobs by root, sums, and accounts.

A process that is killed loses nothing that it wrote; a power loss takes what was not written
durably.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from mpc_core.ring.galois import RingArray
    from mpc_core.sharing.opening import Buffer

__all__ = ["CpuMeter", "MemoryBlobs", "MemoryStagedBlob", "MemoryStore", "MemorySums", "nothing"]


def nothing(_: str) -> None:
    """Let an operation on a port pass."""


@dataclass
class MemoryStore:
    """Named byte strings.

    Attributes:
        kept: what is stored.
        volatile: names that a power loss takes.
        touched: told of every change before it is made; it may be the last thing a process does.
    """

    kept: dict[str, bytes] = field(default_factory=dict)
    volatile: set[str] = field(default_factory=set)
    touched: Callable[[str], None] = nothing

    def copy(self) -> MemoryStore:
        """Return a store with the same content."""
        return MemoryStore(dict(self.kept), set(self.volatile))

    def read(self, name: str) -> bytes | None:
        """Return what is stored, or None."""
        return self.kept.get(name)

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Store or replace."""
        self.touched(f"write {name}")
        self.kept[name] = data
        (self.volatile.discard if durable else self.volatile.add)(name)

    def take(self, other: MemoryStore, name: str) -> None:
        """Move what another store keeps under a name here, durably."""
        self.touched(f"take {name}")
        self.kept[name] = other.kept[name]
        other.touched(f"give {name}")
        other.remove(name)

    def discard(self, name: str) -> None:
        """Remove what is no secret any more."""
        self.remove(name)

    def remove(self, name: str) -> None:
        """Remove; nothing happens when the name is unknown."""
        self.touched(f"remove {name}")
        self.kept.pop(name, None)
        self.volatile.discard(name)

    def names(self, prefix: str) -> tuple[str, ...]:
        """Return the stored names below a prefix, sorted."""
        return tuple(sorted(name for name in self.kept if name.startswith(f"{prefix}/")))

    def lose_power(self) -> None:
        """Lose what was not written durably."""
        for name in self.volatile:
            self.kept.pop(name, None)
        self.volatile.clear()


class Mask(NamedTuple):
    """What masks a share vector: the first batch key of its zero masks, and what that is for."""

    key: bytes
    context: bytes


@dataclass
class MemoryStagedBlob:
    """A blob that nobody sees yet."""

    blobs: MemoryBlobs
    data: bytes
    root: bytes
    mask: Mask | None = None

    def read(self) -> memoryview:
        """Return its bytes."""
        return memoryview(self.data)

    def keep(self, label: str, *, shared: bool = False) -> None:
        """Keep and serve it."""
        del shared
        self.blobs.touched(f"keep {label}")
        self.blobs.kept[self.root] = self.data
        self.blobs.served(self, label)

    def discard(self) -> None:
        """Drop it."""
        self.data = b""

    def altered(self, difference: int) -> MemoryStagedBlob:
        """Return the blob with something added to its first byte."""
        first = (self.data[0] + difference) & 0xFF
        return self.blobs.stage([bytes([first]), self.data[1:]])


def _unwatched(_: MemoryStagedBlob, __: str) -> None:
    """Let a blob be served."""


@dataclass
class MemoryBlobs:
    """Blobs by root, and the bytes that were sent of them by stage.

    Attributes:
        served: told of every blob that others can fetch from now on, with its label.
        touched: told of every change before it is made.
        mask: what masks the next blob that is staged.
        missed: what others asked for in vain.
    """

    leaf_bytes: int
    kept: dict[bytes, bytes] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    served: Callable[[MemoryStagedBlob, str], None] = _unwatched
    touched: Callable[[str], None] = nothing
    mask: Mask | None = None
    missed: dict[bytes, None] = field(default_factory=dict)

    def wanted(self) -> tuple[bytes, ...]:
        """Return the roots of blobs that others asked for and that were not here."""
        return tuple(self.missed)

    def forget_wanted(self, root: bytes) -> None:
        """Take note that what can be done about such a blob is done."""
        self.missed.pop(root, None)

    def copy(self) -> MemoryBlobs:
        """Return blobs with the same content."""
        return MemoryBlobs(self.leaf_bytes, dict(self.kept))

    def has(self, root: bytes) -> bool:
        """Return whether a verified copy is here."""
        return root in self.kept

    def read(self, root: bytes) -> memoryview:
        """Return the bytes.

        Raises:
            CeremonyError: RF-DISK-011, as a store of files.
        """
        if root not in self.kept:
            raise CeremonyError("RF-DISK-011", "a stored blob is damaged or gone", found="none")
        return memoryview(self.kept[root])

    def read_if_here(self, root: bytes) -> memoryview | None:
        """Return the bytes, or None."""
        return self.read(root) if self.has(root) else None

    def stage(self, pieces: Iterable[Buffer]) -> MemoryStagedBlob:
        """Take in a blob piece by piece."""
        self.mask = None
        data = b"".join(bytes(piece) for piece in pieces)
        return MemoryStagedBlob(self, data, chunk_root(data, self.leaf_bytes), self.mask)

    def publish(self, data: bytes, label: str) -> bytes:
        """Keep and serve bytes; return their root."""
        staged = self.stage([data])
        staged.keep(label)
        return staged.root

    def adopt(self, root: bytes, size: int, label: str) -> bool:
        """Take over a copy that another party on this machine keeps: there is none."""
        del root, size, label
        return False

    def remove(self, root: bytes) -> None:
        """Stop serving and keeping these bytes."""
        self.touched("remove a blob")
        self.kept.pop(root, None)


@dataclass
class MemorySums:
    """Noted sums of a few batches; they end with the process, so each start makes them anew.

    Attributes:
        most: how many batches.
        read: contexts of the batches whose sums were asked for and found.
    """

    most: int
    read: set[bytes] = field(default_factory=set)
    _noted: dict[bytes, _MemoryWords] = field(default_factory=dict)

    def begin(self, context: bytes, count: int) -> _MemoryWords:
        """Note so many sums of a batch, in place of what was noted of it."""
        self.drop(context)
        if len(self._noted) >= self.most:
            self.drop(next(iter(self._noted)))
        self._noted[context] = _MemoryWords(count)
        return self._noted[context]

    def find(self, context: bytes) -> _MemoryWords | None:
        """Return the sums of a batch; None unless all of them were noted."""
        noted = self._noted.get(context)
        if noted is None or sum(map(len, noted.parts)) < noted.count:
            return None
        self.read.add(context)
        return noted

    def noted(self) -> set[bytes]:
        """Return the contexts of the batches of which something is noted."""
        return set(self._noted)

    def drop(self, context: bytes) -> None:
        """Forget a batch."""
        self._noted.pop(context, None)

    def retain(self, contexts: Collection[bytes]) -> None:
        """Forget all other batches."""
        for context in self._noted.keys() - set(contexts):
            self.drop(context)


@dataclass
class _MemoryWords:
    """The sums of one batch, part by part."""

    count: int
    parts: list[RingArray] = field(default_factory=list)

    def write(self, first: int, words: RingArray) -> None:
        """Note sums, which follow the last ones."""
        assert first == sum(map(len, self.parts))
        self.parts.append(words.copy())

    def read(self, first: int, out: RingArray) -> bool:
        """Write noted sums."""
        if len(self.parts) > 1:
            self.parts[:] = [np.concatenate(self.parts)]
        out[:] = self.parts[0][first : first + len(out)]
        return True


@dataclass
class CpuMeter:
    """CPU seconds by stage."""

    seconds: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Charge what happens inside to a stage."""
        started = time.process_time()
        try:
            yield
        finally:
            self.seconds[name] += time.process_time() - started  # type: ignore[assignment]
