"""Checkpoints: what n-t operators sign about the log, as C2SP signed notes.

A *head* is epoch, size and root. A head under n-t signatures is *certified*; operators then sign
its certificate, which is a note over the digest of the head. A checkpoint *counts* when n-t
operators signed the certificate (PROTOCOL.md, "Model").

Source: C2SP signed-note and tlog-checkpoint.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.board.wire import verify_signature
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from mpc_core.protocol.plan import Plan

__all__ = [
    "Checkpoint",
    "Head",
    "HeadSignature",
    "certificate_text",
    "head_text",
    "key_hash",
    "read_certificate",
    "read_checkpoint",
    "read_head",
    "require_quorum",
    "sign_certificate",
    "sign_head",
    "signature_is_valid",
    "write_certificate",
    "write_checkpoint",
    "write_head",
]

NOTE_BYTES = 65536

_HEAD = re.compile(
    r"ringforge/(?P<ceremony>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,17})\n(?P<root>[^\n]{44})\n"
    r"epoch (?P<epoch>0|[1-9][0-9]{0,17})\n"
)
_SIGNATURE = re.compile(r"\u2014 (?P<name>[^ +\n]+) (?P<blob>[A-Za-z0-9+/=]+)\n")


@dataclass(frozen=True, slots=True, order=True)
class Head:
    """The log in one epoch: its first `size` entries have this root."""

    epoch: int
    size: int
    root: bytes


@dataclass(frozen=True, slots=True, order=True)
class HeadSignature:
    """One operator's Ed25519 signature of a note."""

    signer: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A head, the signatures that certify it, and the signatures of its certificate.

    It is certified with n-t of the former and counts with n-t of the latter; each list ascends.
    """

    head: Head
    head_signatures: tuple[HeadSignature, ...]
    certificate_signatures: tuple[HeadSignature, ...] = ()


def head_text(ceremony_id: str, head: Head) -> bytes:
    """Return the text of a checkpoint that operators sign."""
    root = base64.b64encode(head.root).decode()
    return f"ringforge/{ceremony_id}\n{head.size}\n{root}\nepoch {head.epoch}\n".encode()


def certificate_text(ceremony_id: str, head: Head) -> bytes:
    """Return the text of a certificate that operators sign: it names the head by its digest."""
    digest = base64.b64encode(hashlib.sha256(head_text(ceremony_id, head)).digest()).decode()
    return f"ringforge/{ceremony_id}/certificate\n{digest}\n".encode()


def sign_head(plan: Plan, head: Head, signer: int, key: Ed25519PrivateKey) -> HeadSignature:
    """Sign a head; that it may be signed is the caller's duty (`infra.board.witness`)."""
    return HeadSignature(signer, key.sign(head_text(plan.ceremony_id, head)))


def sign_certificate(plan: Plan, head: Head, signer: int, key: Ed25519PrivateKey) -> HeadSignature:
    """Sign the certificate of a head; that it is certified is the caller's duty."""
    return HeadSignature(signer, key.sign(certificate_text(plan.ceremony_id, head)))


def signature_is_valid(plan: Plan, text: bytes, part: HeadSignature) -> bool:
    """Tell whether an operator of the plan signed this text."""
    if not 1 <= part.signer <= plan.count:
        return False
    return verify_signature(plan.operators[part.signer - 1].identity_key, text, part.signature)


def require_quorum(plan: Plan, text: bytes, signatures: tuple[HeadSignature, ...]) -> None:
    """Demand that n-t distinct operators, in ascending order, signed this text.

    Raises:
        CeremonyError: RF-LOG-024.
    """
    signers = [part.signer for part in signatures]
    valid = [part.signer for part in signatures if signature_is_valid(plan, text, part)]
    if valid != sorted(set(signers)) or len(valid) < plan.quorum:
        raise CeremonyError(
            "RF-LOG-024",
            "the checkpoint lacks valid signatures",
            expected=f"{plan.quorum} of {plan.count} operators",
            found=f"valid ones of {', '.join(map(str, sorted(set(valid)))) or 'nobody'}"
            f" among {len(signers)}",
            effect="it does not count: nothing follows from it",
            runbook="board-refuses",
        )


def key_hash(name: str, public_key: bytes) -> bytes:
    """Return the four bytes by which a signature line names its Ed25519 key."""
    return hashlib.sha256(name.encode() + b"\n\x01" + public_key).digest()[:4]


def write_checkpoint(plan: Plan, checkpoint: Checkpoint) -> str:
    """Return the signed note of a head."""
    return _write(plan, head_text(plan.ceremony_id, checkpoint.head), checkpoint.head_signatures)


def write_certificate(plan: Plan, checkpoint: Checkpoint) -> str:
    """Return the signed note of a certificate."""
    text = certificate_text(plan.ceremony_id, checkpoint.head)
    return _write(plan, text, checkpoint.certificate_signatures)


def write_head(plan: Plan, head: Head, part: HeadSignature) -> str:
    """Return the note of a head under one operator's signature."""
    return _write(plan, head_text(plan.ceremony_id, head), (part,))


def read_head(plan: Plan, note: str) -> tuple[Head, HeadSignature]:
    """Read the note of a head under one operator's signature.

    Raises:
        CeremonyError: RF-LOG-015 if it is malformed, or the signature is not valid.
    """
    text, signatures = _read(plan, note)
    head = _head_of(plan, text)
    if len(signatures) != 1 or not signature_is_valid(plan, text.encode(), signatures[0]):
        raise _malformed("another number of valid signatures than one")
    return head, signatures[0]


def read_checkpoint(plan: Plan, note: str) -> Checkpoint:
    """Read the signed note of a certified head; every signature line must verify.

    Raises:
        CeremonyError: RF-LOG-015 if it is malformed, RF-LOG-024 if it lacks n-t signatures.
    """
    text, signatures = _read(plan, note)
    head = _head_of(plan, text)
    require_quorum(plan, head_text(plan.ceremony_id, head), signatures)
    return Checkpoint(head, signatures)


def read_certificate(plan: Plan, certified: Checkpoint, note: str) -> Checkpoint:
    """Read the certificate of a certified head and return the checkpoint that counts.

    Raises:
        CeremonyError: RF-LOG-015 if it is malformed, RF-LOG-024 if it lacks n-t signatures.
    """
    text, signatures = _read(plan, note)
    expected = certificate_text(plan.ceremony_id, certified.head)
    if text.encode() != expected:
        raise _malformed("the certificate of another head")
    require_quorum(plan, expected, signatures)
    return Checkpoint(certified.head, certified.head_signatures, signatures)


def _head_of(plan: Plan, text: str) -> Head:
    match = _HEAD.fullmatch(text)
    if match is None or match["ceremony"] != plan.ceremony_id:
        raise _malformed("another text than a checkpoint of this ceremony")
    return Head(int(match["epoch"]), int(match["size"]), _base64(match["root"]))


def _write(plan: Plan, text: bytes, signatures: tuple[HeadSignature, ...]) -> str:
    lines = []
    for part in signatures:
        operator = plan.operators[part.signer - 1]
        blob = key_hash(operator.name, operator.identity_key) + part.signature
        lines.append(f"\u2014 {operator.name} {base64.b64encode(blob).decode()}\n")
    return text.decode() + "\n" + "".join(lines)


def _read(plan: Plan, note: str) -> tuple[str, tuple[HeadSignature, ...]]:
    """Split a note into its text and its signatures, in the order of the lines."""
    text, separator, block = note.rpartition("\n\n")
    if len(note) > NOTE_BYTES or not separator:
        raise _malformed("no text with signature lines after an empty line")
    lines = block.splitlines(keepends=True)
    matches = [_SIGNATURE.fullmatch(line) for line in lines]
    indices = {operator.name: operator.index for operator in plan.operators}
    signatures = []
    for match in matches:
        if match is None or match["name"] not in indices:
            raise _malformed("a line that is no signature of an operator")
        index = indices[match["name"]]
        blob = _base64(match["blob"])
        if blob[:4] != key_hash(match["name"], plan.operators[index - 1].identity_key):
            raise _malformed(f"a signature by another key than that of {match['name']}")
        signatures.append(HeadSignature(index, blob[4:]))
    return text + "\n", tuple(signatures)


def _base64(text: str) -> bytes:
    """Decode base64 of which there is one spelling only."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise _malformed("a line that is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise _malformed("base64 that is not canonical")
    return data


def _malformed(found: str) -> CeremonyError:
    return CeremonyError(
        "RF-LOG-015",
        "the bytes are not a signed note of this ceremony",
        expected="a C2SP signed note: origin, size, root, epoch, and signature lines",
        found=found,
        effect="the checkpoint does not count",
        runbook="board-refuses",
    )
