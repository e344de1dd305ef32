"""Folders that pass with the drill that made them; the next drill removes what a killed one left.

Whoever uses a folder holds a lock on it, which the kernel gives up when its process ends, however
that ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["PassingFolder"]


class PassingFolder:
    """An empty folder for temporary files.

    Attributes:
        path: where it is.
    """

    def __init__(self, kind: str, owners: Collection[int]) -> None:
        """Make a folder, and remove those of this kind that nobody uses any more.

        Args:
            kind: how its name begins.
            owners: user ids of which abandoned folders are removed; those of others are left alone.
        """
        for left in Path(tempfile.gettempdir()).glob(f"{kind}-*"):
            with suppress(FileNotFoundError):  # another drill was faster
                if left.lstat().st_uid in owners and left.is_dir() and not left.is_symlink():
                    _remove_abandoned(left)
        unnamed = Path(tempfile.mkdtemp(prefix=f".{kind}-"))
        self._lock = os.open(unnamed, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # It gets the name by which it would be found only now that it is in use.
        self.path = unnamed.rename(unnamed.with_name(unnamed.name[1:]))

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.path)
        os.close(self._lock)


def _remove_abandoned(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder)
    finally:
        os.close(lock)
