"""An operator's durable stores: named byte strings in `vault/` and `work/`, and its blobs.

Nothing damaged is ever used: what is read is compared with a digest first, and what does not fit
counts as lost. It is computed or fetched again then, as after the loss of a disk.
"""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from infra.files import (
    SECRET_FILE,
    append,
    disk_errors,
    make_directory,
    mapped,
    move,
    replace_durably,
    sync_directory,
    write_atomic,
)
from infra.guarded import read_guarded, write_guarded, write_unguarded
from infra.leaves import LeafHasher, leaf_root
from infra.spares import SpareFiles
from infra.transport.fetch import fetch_blob
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from infra.shared import SharedOpenings
    from infra.transport.client import Peer
    from infra.transport.outbox import Outbox
    from mpc_core.sharing.opening import Buffer

__all__ = ["BlobStore", "FileStore", "StagedBlob", "StoredBefore"]

_STAGED = ".staged-"
_MOST_SPARES = 4
"""Fewer than the vectors that are made and fetched at a time: they take room on the disk."""


class FileStore:
    """Named byte strings as files of one folder, each written atomically and durably.

    A digest stands before what must survive a power loss. What need not is cheap to make again and
    authenticates itself: shares are encrypted, known values carry a digest of their own.
    """

    def __init__(self, folder: Path) -> None:
        """Keep everything below `folder`, which is made when it is missing."""
        self._folder = make_directory(folder)
        self._replacing = threading.Lock()

    def _path(self, name: str) -> Path:
        parts = name.split("/")
        if not parts or any(part in {"", ".", ".."} for part in parts):
            raise ValueError(name)
        return self._folder.joinpath(*parts)

    def read(self, name: str) -> bytes | None:
        """Return what is stored, or None; what is damaged is destroyed and counts as lost."""
        path = self._path(name)
        data = read_guarded(path)
        return self._read_or_destroy(path) if data is None and path.exists() else data

    def _read_or_destroy(self, path: Path) -> bytes | None:
        """Read what seems damaged once more, while nobody writes: it may just have been written."""
        with self._replacing:
            data = read_guarded(path)
            if data is None:
                self._destroy(path)
            return data

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Store or replace; what can be made again need not survive a power loss."""
        path = self._path(name)
        make_directory(path.parent)
        with self._replacing:
            if durable:
                write_guarded(path, data)
            else:
                write_unguarded(path, data)

    def take(self, other: Self, name: str) -> None:
        """Move what another store keeps under a name here, durably.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002.
        """
        source, target = other._path(name), self._path(name)
        make_directory(target.parent)
        with self._replacing:
            if source.stat().st_dev == target.parent.stat().st_dev:
                replace_durably(source, target)
                return
            write_atomic(target, source.read_bytes(), SECRET_FILE)
        other.discard(name)

    def discard(self, name: str) -> None:
        """Remove what is no secret any more; nothing happens when the name is unknown."""
        path = self._path(name)
        with disk_errors(path):
            path.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Overwrite and remove.

        Security: overwriting reaches the old blocks only on file systems that write in place; the
            vault stands for storage whose keys can be destroyed (SECURITY.md).
        """
        path = self._path(name)
        if path.exists():
            self._destroy(path)

    def _destroy(self, path: Path) -> None:
        with disk_errors(path), suppress(FileNotFoundError):
            with path.open("r+b") as file:
                file.write(bytes(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            sync_directory(path.parent)

    def sweep(self) -> None:
        """Overwrite and remove what writes left that a crash broke off.

        Call it before anything is written: a write that goes on loses its file.
        """
        for path in sorted(self._folder.rglob(".*.tmp")):
            self._destroy(path)

    def names(self, prefix: str) -> tuple[str, ...]:
        """Return the stored names below a prefix, sorted."""
        start = self._path(prefix)
        if not start.is_dir():
            return ()
        found = (path for path in start.rglob("*") if path.is_file() and path.suffix != ".tmp")
        return tuple(sorted(path.relative_to(self._folder).as_posix() for path in found))


class StoredBefore(FileStore):
    """What a party stores, for a process that only reads, also while the party writes."""

    def read(self, name: str) -> bytes | None:
        """Return what is stored, or None; what is damaged is left to the party."""
        return read_guarded(self._path(name))


class StagedBlob:
    """A blob that is whole but not served yet; what is neither kept nor discarded is swept."""

    def __init__(self, store: BlobStore, path: Path, root: bytes, size: int) -> None:
        """Stand for the blob that `store` has written to `path`."""
        self._store, self._path = store, path
        self.root, self.size = root, size

    def read(self) -> memoryview:
        """Return its bytes."""
        with disk_errors(self._path):
            return mapped(self._path)

    def keep(self, label: str, *, shared: bool = False) -> None:
        """Keep and serve it.

        Args:
            label: the stage that pays for the bytes.
            shared: whether other parties on this machine may use this copy: never a share.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002.
        """
        self._path = self._store.take_in(self._path, self.root, label, shared=shared)

    def discard(self) -> None:
        """Drop it; what was read of it stays readable."""
        with disk_errors(self._path):
            self._path.unlink(missing_ok=True)


class BlobStore:
    """Share vectors and openings in the outbox, named by their Merkle root.

    They are written once and read as maps of their files. No power loss is guarded against: each
    can be made or fetched again, and is hashed before this process first uses it.
    """

    def __init__(
        self,
        outbox: Outbox,
        leaf_bytes: int,
        arrived: Callable[[], None] = lambda: None,
        shared: SharedOpenings | None = None,
    ) -> None:
        """Keep blobs where the outbox serves them.

        Args:
            outbox: serves them to peers.
            leaf_bytes: the plan's.
            arrived: called when an own one is here.
            shared: what this machine's parties keep in common, if they do.
        """
        self._outbox = outbox
        self._leaf_bytes = leaf_bytes
        self._arrived = arrived
        self._shared = shared
        self._verified: dict[bytes, _FileState] = {}
        self._spares = SpareFiles(outbox.directory, _STAGED, _MOST_SPARES)
        outbox.is_whole = lambda root: self.read_if_here(root) is not None
        outbox.missed_one = arrived

    def wanted(self) -> tuple[bytes, ...]:
        """Return the roots of blobs that others asked for and that were not here."""
        return self._outbox.missed()

    def forget_wanted(self, root: bytes) -> None:
        """Take note that what can be done about such a blob is done."""
        self._outbox.forget_missed(root)

    def has(self, root: bytes) -> bool:
        """Return whether a copy is here."""
        return self._outbox.find(root.hex()) is not None

    def read(self, root: bytes) -> memoryview:
        """Return the bytes, checked against their root.

        Raises:
            CeremonyError: RF-DISK-011, when the copy is gone or damaged; the next attempt
                recomputes or fetches it.
        """
        data = self.read_if_here(root)
        if data is None:
            raise CeremonyError(
                "RF-DISK-011",
                "a stored blob is damaged or gone",
                expected=f"bytes with Merkle root {root.hex()}",
                found="none",
                effect="a copy is made or fetched again",
                next_step="if this comes back, check the disk",
                runbook="disk-full",
            )
        return data

    def read_if_here(self, root: bytes) -> memoryview | None:
        """Return the bytes, or None; they are checked once, and damaged ones are removed."""
        path = self._outbox.find(root.hex())
        if path is None:
            return None
        try:
            state = _FileState.of(path)
            data = mapped(path)
        except FileNotFoundError:
            return None
        if self._verified.get(root) != state:
            if leaf_root(data, self._leaf_bytes) != root:
                self.remove(root)
                return None
            self._verified[root] = state
        return data

    def stage(self, pieces: Iterable[Buffer]) -> StagedBlob:
        """Take in a blob piece by piece; nobody sees it before it is kept.

        Args:
            pieces: consecutive bytes; each is done with when the next is asked for.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002; whatever `pieces` raises.
        """
        hasher = LeafHasher(self._leaf_bytes)
        descriptor, path = self._open_staged()
        try:
            for piece in pieces:
                hasher.update(piece)
                with disk_errors(path):
                    append(descriptor, [piece])
            with disk_errors(path):
                os.ftruncate(descriptor, hasher.size)
        except BaseException:
            path.unlink()
            raise
        finally:
            os.close(descriptor)
        return StagedBlob(self, path, hasher.root(), hasher.size)

    def _open_staged(self) -> tuple[int, Path]:
        """Open a file to be written from its beginning; it may have old bytes."""
        spare = self._spares.take()
        with disk_errors(self._outbox.directory / "blob"):
            if spare is not None:
                return os.open(spare, os.O_WRONLY | os.O_CLOEXEC), spare
            descriptor, name = tempfile.mkstemp(".tmp", _STAGED, self._outbox.directory)
            return descriptor, Path(name)

    def publish(self, data: bytes, label: str) -> bytes:
        """Keep and serve these bytes; returns their root."""
        staged = self.stage([data])
        staged.keep(label)
        return staged.root

    def path(self, root: bytes, label: str) -> Path:
        """Return where a blob with this root is kept."""
        return self._outbox.path(root, label)

    def take_in(self, path: Path, root: bytes, label: str, *, shared: bool) -> Path:
        """Serve a file of which this process has hashed every byte; returns its new place.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002.
        """
        if shared and self._shared is not None:
            self._shared.add(root, path)
        target = self._outbox.path(root, label)
        move(path, target)
        self._verified[root] = _FileState.of(target)
        self._arrived()
        return target

    def fetch(
        self,
        peer: Peer,
        root: bytes,
        size: int,
        label: str,
        tick: Callable[[], None],
        *,
        shared: bool,
    ) -> None:
        """Fetch and keep a blob of a peer.

        Args:
            peer: who is asked.
            root: Merkle root of the blob.
            size: its length in bytes.
            label: the stage that pays.
            tick: called about every second meanwhile.
            shared: whether other parties on this machine may use this copy: never a share.

        Raises:
            CeremonyError: as `fetch_blob`.
        """
        target = self._outbox.path(root, label)
        store, spares = (self._shared, None) if shared else (None, self._spares)
        fetch_blob(
            peer, root, size, self._leaf_bytes, target, tick=tick, shared=store, spares=spares
        )
        self._verified[root] = _FileState.of(target)

    def adopt(self, root: bytes, size: int, label: str) -> bool:
        """Take over the copy that another party on this machine keeps; tell whether it is right."""
        if self._shared is None:
            return False
        copy = self._shared.borrow(root, size, self._outbox.path(root, label))
        return copy is not None and self.read_if_here(root) is not None

    def remove(self, root: bytes) -> None:
        """Stop serving and keeping these bytes; what was read of them stays readable."""
        self._verified.pop(root, None)
        path = self._outbox.find(root.hex())
        if path is not None:
            self._spares.put(path)
        if self._shared is not None:
            self._shared.tidy(root)

    def sweep(self) -> None:
        """Remove what a crash left half written; call it before anything is staged."""
        for path in self._outbox.directory.glob(f"{_STAGED}*.tmp"):
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _FileState:
    """What changes when the content of a file does."""

    device: int
    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> _FileState:
        status = path.stat()
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
