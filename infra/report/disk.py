"""How much of the disk a folder took at most, looked at now and then."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["PeakDisk", "disk_bytes"]

_PAUSE_SECONDS = 2.0
_BLOCK_BYTES = 512


class PeakDisk:
    """The most bytes that a folder was seen to take.

    Attributes:
        size: those bytes, so far.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Look at this folder."""
        self.size = 0
        self._folder, self._clock = folder, clock
        self._looked_at = -_PAUSE_SECONDS

    def look(self) -> None:
        """Look, unless the last look was a moment ago."""
        now = self._clock()
        if now - self._looked_at >= _PAUSE_SECONDS:
            self._looked_at = now
            self.size = max(self.size, disk_bytes(self._folder))


def disk_bytes(folder: Path) -> int:
    """Return the bytes that the files of a folder take; one with several names counts once.

    Files that come or go meanwhile may or may not count.
    """
    sizes: dict[tuple[int, int], int] = {}
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                state = os.lstat(f"{path}/{name}")
            except FileNotFoundError:
                continue
            sizes[state.st_dev, state.st_ino] = state.st_blocks * _BLOCK_BYTES
    return sum(sizes.values())
