"""An operator's copy of the log on its own disk: one append-only file, rebuildable at any time.

A record is its length in four bytes, a tag and the bytes of an entry or of a checkpoint that
counts. What a crash left half-written at the end is dropped on loading; what is read is verified
again by the replica, so nothing here is trusted.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from infra.board import strict
from infra.board.notes import Checkpoint
from infra.files import append, disk_errors, sync_directory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["LogCopy", "LogFile", "MemoryCopy", "Stored", "stored_in"]

ENTRY = b"E"
CHECKPOINT = b"C"
LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Stored:
    """What a copy holds: entries in order, and the last checkpoint recorded."""

    entries: tuple[bytes, ...] = ()
    checkpoint: Checkpoint | None = None


class LogCopy(Protocol):
    """Where a replica keeps its entries."""

    def load(self) -> Stored:
        """Return what is stored."""
        ...

    def add_entries(self, entries: Sequence[bytes]) -> None:
        """Append entries."""
        ...

    def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Record the newest checkpoint that counts."""
        ...

    def flush(self) -> None:
        """Return when everything added survives a power failure."""
        ...

    def truncate(self, size: int) -> None:
        """Forget all but the first `size` entries, and the checkpoint."""
        ...

    def close(self) -> None:
        """Release what is held open."""
        ...


class MemoryCopy:
    """No disk: for observers that download the log at every start, and for tests."""

    def load(self) -> Stored:
        """Return nothing: there was no earlier run."""
        return Stored()

    def add_entries(self, entries: Sequence[bytes]) -> None:
        """Nothing to do: the replica itself holds them."""

    def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Nothing to do: the replica itself holds it."""

    def flush(self) -> None:
        """Nothing to do: nothing is promised."""

    def truncate(self, size: int) -> None:
        """Nothing to do: the replica itself forgets."""

    def close(self) -> None:
        """Nothing to do: nothing is open."""


class LogFile:
    """The copy in a file. Errors of the disk are CeremonyErrors of area DISK."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk_errors(path):
            self._file = path.open("a+b", buffering=0)
            sync_directory(path.parent)
        self._offsets: list[int] = []
        self._end = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def load(self) -> Stored:
        """Return the whole records, and cut off what follows the last one."""
        with disk_errors(self._path):
            self._file.seek(0)
            data = self._file.readall()
            entries: list[bytes] = []
            checkpoint = None
            self._offsets, self._end = [], 0
            while record := _record_at(data, self._end):
                if record[:1] == ENTRY:
                    self._offsets.append(self._end)
                    entries.append(record[1:])
                else:
                    try:
                        checkpoint = strict.decode(Checkpoint, record[1:])
                    except strict.Malformed:
                        break
                self._end += LENGTH_BYTES + len(record)
            self._file.truncate(self._end)
        return Stored(tuple(entries), checkpoint)

    def add_entries(self, entries: Sequence[bytes]) -> None:
        """Append entries in one write."""
        records = [_record(ENTRY, entry) for entry in entries]
        offset = self._end
        self._append(b"".join(records))
        for record in records:
            self._offsets.append(offset)
            offset += len(record)

    def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Append the newest checkpoint that counts."""
        self._append(_record(CHECKPOINT, strict.encode(checkpoint)))

    def flush(self) -> None:
        """Return when everything added survives a power failure."""
        with disk_errors(self._path):
            os.fsync(self._file.fileno())

    def truncate(self, size: int) -> None:
        """Forget all but the first `size` entries, and what was recorded after them."""
        if size < len(self._offsets):
            with disk_errors(self._path):
                self._file.truncate(self._offsets[size])
            self._end = self._offsets[size]
            del self._offsets[size:]

    def _append(self, data: bytes) -> None:
        with disk_errors(self._path):
            try:
                append(self._file.fileno(), [data])
            except OSError:
                self._file.truncate(self._end)
                raise
        self._end += len(data)


def stored_in(data: bytes) -> Stored:
    """Return what the bytes of a copy hold, as far as its records are whole."""
    entries: list[bytes] = []
    checkpoint, end = None, 0
    while record := _record_at(data, end):
        if record[:1] == ENTRY:
            entries.append(record[1:])
        else:
            try:
                checkpoint = strict.decode(Checkpoint, record[1:])
            except strict.Malformed:
                break
        end += LENGTH_BYTES + len(record)
    return Stored(tuple(entries), checkpoint)


def _record(tag: bytes, data: bytes) -> bytes:
    return (len(data) + 1).to_bytes(LENGTH_BYTES, "big") + tag + data


def _record_at(data: bytes, offset: int) -> bytes | None:
    """Return tag and bytes of the record at `offset`, or None where no whole record begins."""
    start = offset + LENGTH_BYTES
    length = int.from_bytes(data[offset:start], "big")
    record = data[start : start + length]
    return record if len(record) == length and record[:1] in {ENTRY, CHECKPOINT} else None
