"""How far a long verification is, for whoever waits."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LONG", "Progress"]

LONG = 1 << 28
"""Bytes from which on a verification takes long enough to say how far it is."""

_STEPS = 20


@dataclass(slots=True)
class Progress:
    """Says after every twentieth of the bytes how far a verification is; any thread may add.

    Attributes:
        say: takes a line.
        total: bytes to go through; few are not worth a line.
    """

    say: Callable[[str], object]
    total: int = 0
    _done: int = 0
    _said: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, size: int) -> None:
        """Note that so many more bytes were gone through."""
        with self._lock:
            self._done += size
            step = min(_STEPS, self._done * _STEPS // max(self.total, 1))
            if self.total >= LONG and step > self._said:
                self._said = step
                self.say(f"{100 * step // _STEPS} % of {self.total} bytes")
