"""A public file as a buffer of which only what is looked at is in memory."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["mapped"]


def mapped(path: Path) -> memoryview:
    """Return the bytes of a file, mapped for reading; the mapping goes with the last reference.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return memoryview(b"")  # nothing can be mapped
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    mapping.madvise(mmap.MADV_SEQUENTIAL)
    return memoryview(mapping)
