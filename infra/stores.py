"""An operator's durable stores: named byte strings in `vault/` and `work/`, and its blobs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from infra.files import (
    SECRET_FILE,
    disk_errors,
    make_directory,
    replace_durably,
    sync_directory,
    write_atomic,
)
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from infra.transport.outbox import Outbox
    from mpc_core.sharing.opening import Buffer

__all__ = ["BlobStore", "FileStore"]


class FileStore:
    """Named byte strings as files of one folder, each written atomically and durably."""

    def __init__(self, folder: Path) -> None:
        """Keep everything below `folder`, which is made when it is missing."""
        self._folder = make_directory(folder)

    def _path(self, name: str) -> Path:
        parts = name.split("/")
        if not parts or any(part in {"", ".", ".."} for part in parts):
            raise ValueError(name)
        return self._folder.joinpath(*parts)

    def read(self, name: str) -> bytes | None:
        """Return what is stored, or None."""
        path = self._path(name)
        if not path.exists():
            return None
        with disk_errors(path):
            return path.read_bytes()

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Store or replace; what can be made again need not survive a power loss."""
        path = self._path(name)
        make_directory(path.parent)
        write_atomic(path, data, SECRET_FILE, durable=durable)

    def take(self, other: Self, name: str) -> None:
        """Move what another store keeps under a name here, durably.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002.
        """
        source, target = other._path(name), self._path(name)
        make_directory(target.parent)
        if source.stat().st_dev == target.parent.stat().st_dev:
            replace_durably(source, target)
        else:
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
        with disk_errors(path):
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


@dataclass(slots=True)
class _Staged:
    """A blob that is whole but not served yet."""

    store: BlobStore
    data: bytes

    @property
    def root(self) -> bytes:
        """Its Merkle root."""
        return chunk_root(self.data, self.store.leaf_bytes)

    def read(self) -> memoryview:
        """Return its bytes."""
        return memoryview(self.data)

    def keep(self, label: str, *, shared: bool = False) -> None:
        """Keep and serve it."""
        del shared
        self.store.publish(self.data, label)

    def discard(self) -> None:
        """Drop it."""
        self.data = b""


class BlobStore:
    """Share vectors and openings in the outbox, named by their Merkle root."""

    def __init__(
        self, outbox: Outbox, leaf_bytes: int, arrived: Callable[[], None] = lambda: None
    ) -> None:
        """Keep blobs where the outbox serves them.

        Args:
            outbox: serves them to peers.
            leaf_bytes: the plan's.
            arrived: called when a new one is here.
        """
        self._outbox = outbox
        self.leaf_bytes = leaf_bytes
        self._arrived = arrived

    def has(self, root: bytes) -> bool:
        """Return whether a copy is here."""
        return self._outbox.find(root.hex()) is not None

    def read(self, root: bytes) -> memoryview:
        """Return a copy, checked against its root.

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

    def stage(self, pieces: Iterable[Buffer]) -> _Staged:
        """Take in a blob piece by piece; nobody sees it before it is kept."""
        return _Staged(self, b"".join(pieces))

    def publish(self, data: bytes, label: str) -> bytes:
        """Keep and serve these bytes; returns their root."""
        root = chunk_root(data, self.leaf_bytes)
        self._outbox.publish(root, data, label)
        self._arrived()
        return root

    def read_if_here(self, root: bytes) -> memoryview | None:
        """Return a copy, checked against its root, or None; a damaged one is removed."""
        path = self._outbox.find(root.hex())
        if path is None:
            return None
        data = path.read_bytes()
        if chunk_root(data, self.leaf_bytes) == root:
            return memoryview(data)
        path.unlink(missing_ok=True)
        return None

    def path(self, root: bytes, label: str) -> Path:
        """Return where a blob with this root is kept."""
        return self._outbox.path(root, label)

    def remove(self, root: bytes) -> None:
        """Stop serving and keeping these bytes."""
        path = self._outbox.find(root.hex())
        if path is not None:
            path.unlink(missing_ok=True)
