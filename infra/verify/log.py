"""The log of a transcript: every entry, and the checkpoint that n-t operators signed over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.board import export, notes, strict
from infra.board.admission import Admission
from infra.verify.verdict import invalid
from mpc_core.protocol.entries import STATEMENTS, LogEntry
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import EMPTY_ROOT

if TYPE_CHECKING:
    from infra.verify.evidence import Evidence, Rules
    from mpc_core.protocol.plan import Plan

__all__ = ["check_checkpoint", "read_log"]

Log = tuple[LogEntry, ...]


def read_log(evidence: Evidence, rules: Rules) -> tuple[Log, str]:
    """Check encoding, signatures and limits of every entry."""
    whole = evidence.read(f"transcript/{export.ENTRIES_FILE}")
    try:
        envelopes = export.parse_entries(whole)
    except CeremonyError as error:
        raise invalid(
            "RF-VERIFY-010",
            f"{export.ENTRIES_FILE} is not a list of entries",
            expected=error.expected,
            found=error.found,
        ) from error
    admission = Admission(rules.plan)
    entries: list[LogEntry] = []
    for data in envelopes:
        try:
            entries.append(admission.admit(data, admission.check(data)))
        except CeremonyError as error:
            raise invalid(
                "RF-VERIFY-011",
                f"entry {len(entries)} of the log is not valid: {error.subject} ({error.code})",
                expected=error.expected,
                found=error.found,
                operator=error.operator or _author(rules.plan, data),
            ) from error
    statements = sum(isinstance(log.entry, STATEMENTS) for log in entries)
    return (
        tuple(entries),
        f"{len(entries) - statements} signed messages and {statements} statements of n-t operators",
    )


def check_checkpoint(evidence: Evidence, rules: Rules, log: Log) -> tuple[Log, str]:
    """Check that n-t operators signed exactly this log, and n-t its certificate.

    Returns:
        The log: from here on it is theirs.
    """
    head_note, certificate_note = (
        evidence.read(f"transcript/{name}")
        for name in (export.CHECKPOINT_FILE, export.CERTIFICATE_FILE)
    )
    try:
        certified = notes.read_checkpoint(rules.plan, head_note.decode())
        checkpoint = notes.read_certificate(rules.plan, certified, certificate_note.decode())
    except UnicodeDecodeError as error:
        raise invalid(
            "RF-VERIFY-012", "the checkpoint is no signed note", expected="UTF-8 text"
        ) from error
    except CeremonyError as error:
        raise invalid(
            "RF-VERIFY-012",
            f"the checkpoint does not count: {error.subject} ({error.code})",
            expected=error.expected,
            found=error.found,
        ) from error
    root = log[-1].prefix_root if log else EMPTY_ROOT
    head = checkpoint.head
    if (head.size, head.root) != (len(log), root):
        raise invalid(
            "RF-VERIFY-013",
            "the checkpoint is that of another log",
            expected=f"{head.size} entries with root {head.root.hex()}",
            found=f"{len(log)} entries with root {root.hex()}",
        )
    signers = [rules.plan.name_of(part.signer) for part in checkpoint.certificate_signatures]
    return log, f"root {root.hex()} over {len(log)} entries, signed by {', '.join(signers)}"


def _author(plan: Plan, data: bytes) -> str:
    """Return whom an envelope names as its only signer, "" where it is not that readable."""
    try:
        envelope = strict.decode_plain(data)
    except strict.Malformed:
        return ""
    match envelope:
        case [int(), bytes(), [[int(signer), *_]]] if 1 <= signer <= plan.count:
            return plan.name_of(signer)
    return ""
