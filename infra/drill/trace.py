"""The trace of a drill: what happened in which round, as one digest.

A seed must give the same events again, in another process too. Bytes are left out and only their
number counts: HPKE draws its randomness from the system, so ciphertexts, and with them the roots of
the log, the challenges and the values at 0 that a close names, are others each time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpc_core.protocol.entries import LogEntry

__all__ = ["Trace"]

_REFUTED = "refuted/"
"""How the slot begins of which the last part is the digest of an answer."""


@dataclass
class Trace:
    """A digest of everything that was noted so far."""

    _events: hashlib._Hash = field(default_factory=hashlib.sha256)

    def note(self, *facts: object) -> None:
        """Take note of something."""
        self._events.update(repr(facts).encode())

    def note_entries(self, entries: Sequence[LogEntry]) -> None:
        """Take note of new entries of the log."""
        for log in entries:
            self.note(log.position, log.signers, log.entry.kind, _without_bytes(log.entry))

    @property
    def digest(self) -> str:
        """What two runs of one seed have in common."""
        return self._events.hexdigest()


def _without_bytes(value: object) -> object:
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, str) and value.startswith(_REFUTED):
        return value.rpartition("/")[0]
    if isinstance(value, tuple):
        return tuple(map(_without_bytes, value))
    if is_dataclass(value):
        return tuple(_without_bytes(getattr(value, each.name)) for each in fields(value))
    return value
