"""The log as plain files, for anybody to verify without us.

`entries.cbor` holds the signed bytes of every entry below a checkpoint that counts, in order;
`checkpoint.note` and `certificate.note` are that checkpoint as C2SP signed notes. Reading verifies
everything again: encodings, signatures, limits, root, and both quorums; there is no byte in these
files that could be another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.board import notes, strict
from infra.board.admission import Admission
from infra.files import write_atomic
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import EMPTY_ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from infra.board.notes import Checkpoint
    from mpc_core.protocol.entries import LogEntry
    from mpc_core.protocol.plan import Plan

__all__ = [
    "CERTIFICATE_FILE",
    "CHECKPOINT_FILE",
    "ENTRIES_FILE",
    "Transcript",
    "parse_entries",
    "read",
    "write",
]

ENTRIES_FILE = "entries.cbor"
CHECKPOINT_FILE = "checkpoint.note"
CERTIFICATE_FILE = "certificate.note"


@dataclass(frozen=True, slots=True)
class Transcript:
    """A verified log."""

    entries: tuple[LogEntry, ...]
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class _Entries:
    entries: tuple[bytes, ...]


def write(folder: Path, plan: Plan, envelopes: Sequence[bytes], checkpoint: Checkpoint) -> None:
    """Write the log below a checkpoint that counts.

    Args:
        folder: where to; it exists.
        plan: the plan of the ceremony.
        envelopes: the entries, at least those that the checkpoint covers.
        checkpoint: with the signatures of its head and of its certificate.

    Raises:
        CeremonyError: RF-DISK-* if the files cannot be written.
    """
    covered = _Entries(tuple(envelopes[: checkpoint.head.size]))
    write_atomic(folder / ENTRIES_FILE, strict.encode(covered))
    write_atomic(folder / CHECKPOINT_FILE, notes.write_checkpoint(plan, checkpoint).encode())
    write_atomic(folder / CERTIFICATE_FILE, notes.write_certificate(plan, checkpoint).encode())


def read(folder: Path, plan: Plan) -> Transcript:
    """Read a log and verify all of it.

    Raises:
        CeremonyError: RF-LOG-050 if entries or root are not those of the checkpoint, RF-LOG-015
            or -024 if the checkpoint does not count, RF-LOG-001 to -007 if one is not an entry.
    """
    certified = notes.read_checkpoint(plan, _text(folder / CHECKPOINT_FILE))
    checkpoint = notes.read_certificate(plan, certified, _text(folder / CERTIFICATE_FILE))
    envelopes = parse_entries(_bytes(folder / ENTRIES_FILE))
    admission = Admission(plan)
    entries = tuple(admission.admit(data, admission.check(data)) for data in envelopes)
    head = checkpoint.head
    root = entries[-1].prefix_root if entries else EMPTY_ROOT
    if (len(entries), root) != (head.size, head.root):
        raise _altered(
            f"root {head.root.hex()} over {head.size} entries",
            f"root {root.hex()} over {len(entries)} entries",
        )
    return Transcript(entries, checkpoint)


def parse_entries(data: bytes) -> tuple[bytes, ...]:
    """Return the signed bytes of every entry in a file of entries; they are not verified yet.

    Raises:
        CeremonyError: RF-LOG-050 if the file is not the canonical encoding of a list of them.
    """
    try:
        return strict.decode(_Entries, data).entries
    except strict.Malformed as error:
        raise _altered("canonical CBOR", str(error)) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _altered(f"a readable file {path.name}", error.strerror or "an error") from error


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode()
    except UnicodeDecodeError as error:
        raise _altered(f"{path.name} in UTF-8", "other bytes") from error


def _altered(expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        "RF-LOG-050",
        "the transcript is not the log that the operators signed",
        expected=expected,
        found=found,
        effect="nothing in this transcript is proven",
        next_step="get the transcript from an operator and verify that",
        runbook="verification-failed",
    )
