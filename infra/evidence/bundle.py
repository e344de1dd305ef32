"""A file of evidence that needs nothing else: plan, log entries with proofs, and the data.

It is the canonical CBOR of a `Bundle`. Everything in it is checked again by whoever reads it, so it
needs no signature of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.board import strict
from infra.files import disk_errors, write_atomic
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EQUIVOCATION", "Bundle", "Included", "decode_bundle", "read_bundle", "write_bundle"]

VERSION = 1
LARGEST = 1 << 31
"""Bytes of a file that is read at all: share vectors are in it."""

EQUIVOCATION = "equivocation"
"""Ground of two heads of one epoch under one signature; the others are in `protocol.justice`."""


@dataclass(frozen=True, slots=True)
class Included:
    """A log entry and the proof that it stands at its place below the checkpoint."""

    position: int
    envelope: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a third party needs to convince itself that an operator broke a rule.

    Attributes:
        version: of this format.
        plan: bytes of plan.toml.
        signatures: bytes of plan.sig.
        checkpoint: signed note of a head that counts, "" where the log does not matter.
        certificate: signed note of its certificate.
        accused: index of the operator.
        ground: "vector", "decoder", "recomputed" or "equivocation".
        context: identifier of the batch's context.
        round: the decoder's round.
        prefix_proof: that the log begins with the prefix the challenge is drawn from.
        entries: the entries concerned, in log order.
        data: the vector; or the leaves; or the opened values that a burnt batch was made from, in
            layout order; or the two heads.
    """

    version: int
    plan: bytes
    signatures: bytes
    checkpoint: str
    certificate: str
    accused: int
    ground: str
    context: bytes
    round: int
    prefix_proof: tuple[bytes, ...]
    entries: tuple[Included, ...]
    data: tuple[bytes, ...]


def decode_bundle(data: bytes) -> Bundle:
    """Return what the bytes of a file of evidence say; nothing of it is checked yet.

    Raises:
        CeremonyError: RF-EVIDENCE-002 if they are no canonical encoding of a bundle.
    """
    if len(data) > LARGEST:
        raise _unreadable(f"at most {LARGEST} bytes", f"{len(data)} bytes")
    try:
        bundle = strict.decode(Bundle, data)
    except strict.Malformed as error:
        raise _unreadable("canonical CBOR of a bundle", str(error)) from error
    if bundle.version != VERSION:
        raise _unreadable(f"version {VERSION}", f"version {bundle.version}")
    return bundle


def read_bundle(path: Path) -> Bundle:
    """Read a file of evidence.

    Raises:
        CeremonyError: as `decode_bundle`; RF-DISK-* if it cannot be read.
    """
    with disk_errors(path):
        size = path.stat().st_size
        data = path.read_bytes() if size <= LARGEST else b""
    if size > LARGEST:
        raise _unreadable(f"at most {LARGEST} bytes", f"{size} bytes")
    return decode_bundle(data)


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write a file of evidence.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
    """
    write_atomic(path, strict.encode(bundle))


def _unreadable(expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        "RF-EVIDENCE-002",
        "the file is no evidence that can be read",
        expected=expected,
        found=found,
        effect="it proves nothing",
        next_step="ask for the file again, and for the version of ringforge that wrote it",
        runbook="infractions",
    )
