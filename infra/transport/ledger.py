"""How many bytes a member sent, to whom and for what: measured, persistent, for the report."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import structlog

from infra.guarded import read_guarded, write_guarded
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["SentLedger"]

_SAVE_SECONDS = 1.0
_log = structlog.get_logger()


class SentLedger:
    """Bytes sent, by label and requester.

    The file is written at most once a second, and by `save`. After a normal stop the counts are
    exact; a killed process loses what it counted within a second of the last writing.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Go on from the counts in `path`; start at zero where there are none, or damaged ones."""
        self._path = path
        self._clock = clock
        self._guard = threading.Lock()
        self._sent: dict[str, dict[str, int]] = {}
        self._unsaved = False
        self._saved_at = clock()
        kept = read_guarded(path)
        if kept is not None:
            self._sent = json.loads(kept)

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
        """Keep the counts; a disk that is full gets them later."""
        encoded = json.dumps(self._sent, indent=2, sort_keys=True).encode()
        self._saved_at = self._clock()
        try:
            write_guarded(self._path, encoded + b"\n", durable=False)
        except CeremonyError as refusal:
            _log.warning("counts are not saved", reason=str(refusal))
        else:
            self._unsaved = False

    def totals(self) -> Mapping[str, Mapping[str, int]]:
        """Return a copy of all counts: label, requester, bytes."""
        with self._guard:
            return {label: dict(row) for label, row in self._sent.items()}
