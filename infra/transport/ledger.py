"""How many bytes a member sent, to whom and for what: measured, persistent, for the report."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from infra.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["SentLedger"]


class SentLedger:
    """Bytes sent, by label and requester; the counts survive the process, not a power loss."""

    def __init__(self, path: Path) -> None:
        """Go on from the counts in `path`, or start at zero."""
        self._path = path
        self._guard = threading.Lock()
        self._sent: dict[str, dict[str, int]] = {}
        if path.exists():
            self._sent = json.loads(path.read_bytes())

    def add(self, requester: str, label: str, count: int) -> None:
        """Count bytes sent to a member under a label, of which there are a few."""
        with self._guard:
            row = self._sent.setdefault(label, {})
            row[requester] = row.get(requester, 0) + count
            encoded = json.dumps(self._sent, indent=2, sort_keys=True).encode()
            write_atomic(self._path, encoded + b"\n", durable=False)

    def totals(self) -> Mapping[str, Mapping[str, int]]:
        """Return a copy of all counts: label, requester, bytes."""
        with self._guard:
            return {label: dict(row) for label, row in self._sent.items()}
