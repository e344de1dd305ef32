"""Objects as files of a directory, for the parent of an enclave and for sandboxes."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

from infra.files import SECRET_FILE, disk_errors, make_directory, sync_directory, write_atomic
from infra.objects.port import MOST_BYTES, Found
from infra.objects.refusals import somebody_else_writes, store_error

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FolderObjects"]


class FolderObjects:
    """One object a file; its tag is its digest. One process at a time writes here."""

    def __init__(self, folder: Path) -> None:
        """Keep everything below `folder`, which is made when it is missing."""
        self._folder = make_directory(folder)
        self._writing = threading.Lock()

    def get(self, key: str) -> Found | None:
        """Return an object, or None."""
        path = self._path(key)
        with disk_errors(path):
            try:
                with path.open("rb") as file:
                    data = file.read(MOST_BYTES + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None
        if len(data) > MOST_BYTES:
            raise store_error(
                "RF-STORE-001",
                f"object {key} is longer than any that was written",
                f"at most {MOST_BYTES} bytes",
                "more",
                "see who else writes into that directory",
            )
        return Found(data, hashlib.sha256(data).hexdigest())

    def put(self, key: str, data: bytes, replaces: str | None) -> str:
        """Write an object durably and return its tag."""
        with self._writing:
            there = self.get(key)
            if (None if there is None else there.tag) != replaces:
                raise somebody_else_writes(key)
            path = self._path(key)
            make_directory(path.parent)
            write_atomic(path, data, SECRET_FILE)
        return hashlib.sha256(data).hexdigest()

    def delete(self, key: str) -> None:
        """Remove the file; nothing happens when there is none."""
        path = self._path(key)
        with self._writing, disk_errors(path):
            if path.is_file():
                path.unlink()
                sync_directory(path.parent)

    def keys(self) -> tuple[str, ...]:
        """Return the names of all objects, sorted; what a crash left half written is none."""
        found = (
            path
            for path in self._folder.rglob("*")
            if path.is_file() and not (path.name.startswith(".") and path.suffix == ".tmp")
        )
        return tuple(sorted(path.relative_to(self._folder).as_posix() for path in found))

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if not all(parts) or {".", ".."} & set(parts):
            raise ValueError(key)
        return self._folder.joinpath(*parts)
