"""How many bytes a member sent, to whom and for what: measured, persistent, for the report."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

from infra.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["SentLedger"]

_SAVE_SECONDS = 1.0


class SentLedger:
    """Bytes sent, by label and requester.

    The file is written at most once a second, and by `save`. After a normal stop the counts are
    exact; a killed process loses what it counted within a second of the last writing.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Go on from the counts in `path`, or start at zero."""
        self._path = path
        self._clock = clock
        self._guard = threading.Lock()
        self._sent: dict[str, dict[str, int]] = {}
        self._unsaved = False
        self._saved_at = clock()
        if path.exists():
            self._sent = json.loads(path.read_bytes())

    def add(self, requester: str, label: str, count: int) -> None:
        """Count bytes sent to a member under a label, of which there are a few."""
        with self._guard:
            row = self._sent.setdefault(label, {})
            row[requester] = row.get(requester, 0) + count
            self._unsaved = True
            if self._clock() - self._saved_at >= _SAVE_SECONDS:
                self._write()

    def save(self) -> None:
        """Write what is not yet in the file; call it when the process ends."""
        with self._guard:
            if self._unsaved:
                self._write()

    def _write(self) -> None:
        encoded = json.dumps(self._sent, indent=2, sort_keys=True).encode()
        write_atomic(self._path, encoded + b"\n", durable=False)
        self._unsaved = False
        self._saved_at = self._clock()

    def totals(self) -> Mapping[str, Mapping[str, int]]:
        """Return a copy of all counts: label, requester, bytes."""
        with self._guard:
            return {label: dict(row) for label, row in self._sent.items()}
