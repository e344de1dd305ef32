"""Files that nobody needs any more, kept to be written over.

The share vectors of a ceremony come and go by the gigabyte. A new file is given its memory and its
place on the disk page by page, which takes longer than copying the bytes; an old one has both.
"""

from __future__ import annotations

import secrets
import threading
import weakref
from typing import TYPE_CHECKING

from infra.files import retire

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SpareFiles"]


class SpareFiles:
    """A few files of one folder, removed when the process ends."""

    def __init__(self, folder: Path, prefix: str, most: int) -> None:
        """Keep at most so many in a folder, under names that begin so and end in `.tmp`."""
        self._folder, self._prefix, self._most = folder, prefix, most
        self._guard = threading.Lock()
        self._spares: list[Path] = []
        weakref.finalize(self, _remove, self._spares)

    def put(self, path: Path) -> None:
        """Remove a file; it becomes a spare one if nobody else has it or reads it."""
        name = f"{self._prefix}{secrets.token_hex(8)}.tmp"
        try:
            with self._guard:
                if len(self._spares) < self._most and retire(path, self._folder / name):
                    self._spares.append(self._folder / name)
                    return
        except FileNotFoundError:
            return
        path.unlink(missing_ok=True)

    def take(self) -> Path | None:
        """Return a file with old bytes that nobody else will take, if there is one."""
        with self._guard:
            return self._spares.pop() if self._spares else None


def _remove(spares: list[Path]) -> None:
    for path in spares:
        path.unlink(missing_ok=True)
