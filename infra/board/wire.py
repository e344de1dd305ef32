"""Signed entries and orders as bytes.

An envelope is the canonical CBOR array [version, body, [[signer, algorithm, signature], ...]].
A signature is over domain, plan hash and body, so it is valid for one plan and one purpose only.
A message carries the signature of its author, a statement those of at least n-t operators, in
ascending order of the signers. Signatures are Ed25519; that of a decision is by whoever speaks for
its author, and hybrid if the plan names two keys of them. Signer 0 is the coordinator, who signs
orders and never entries.

Security: what decodes was signed by whom it names, for this plan; no second encoding of the same
entry and signatures decodes. Lengths are checked before anything is parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from infra.board import strict
from infra.plan.hybrid import speaker_of
from mpc_core.protocol.context import STAGES
from mpc_core.protocol.entries import STATEMENTS, Decision, Entry
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.plan.hybrid import HybridIdentity
    from mpc_core.protocol.plan import Plan

__all__ = [
    "COORDINATOR",
    "ED25519",
    "ENTRY_DOMAIN",
    "HYBRID",
    "ORDER_DOMAIN",
    "Endorsement",
    "SignedEntry",
    "assemble",
    "body_of",
    "check_endorsement",
    "decode",
    "endorse",
    "entry_of",
    "kind_of",
    "open_order",
    "sign_decision",
    "sign_entry",
    "sign_order",
    "statement",
    "verify_signature",
]

ENTRY_DOMAIN = b"ringforge/entry/v1\0"
ORDER_DOMAIN = b"ringforge/order/v1\0"

VERSION = 1
ED25519, HYBRID = 1, 2
"""Algorithm identifiers: Ed25519, and Ed25519 followed by ML-DSA-65."""

COORDINATOR = 0
ORDER_BYTES = 65536

_KINDS: dict[str, type[Entry]] = {shape.kind: shape for shape in get_args(Entry)}


@dataclass(frozen=True, slots=True, order=True)
class Endorsement:
    """One operator's signature under a body."""

    signer: int
    algorithm: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedEntry:
    """A decoded entry; `signers` are ascending and each one's signature is valid."""

    entry: Entry
    signers: tuple[int, ...]
    body: bytes

    @property
    def is_statement(self) -> bool:
        """Whether n-t operators sign it, rather than one author."""
        return isinstance(self.entry, STATEMENTS)


@dataclass(frozen=True, slots=True)
class _Envelope:
    version: int
    body: bytes
    signatures: tuple[Endorsement, ...]


def body_of(entry: Entry) -> bytes:
    """Return the bytes of an entry that its signers sign."""
    return strict.encode([entry.kind, *strict.write_fields(entry)])


def entry_of(body: bytes) -> Entry:
    """Return the entry with these bytes.

    Raises:
        CeremonyError: RF-LOG-002 if they are malformed, RF-LOG-003 if the kind is unknown.
    """
    try:
        plain = strict.decode_plain(body)
    except strict.Malformed as error:
        raise _malformed(str(error)) from error
    if not isinstance(plain, list) or not plain or type(plain[0]) is not str:
        raise _malformed("not an array that begins with its kind")
    kind, *values = plain
    if kind not in _KINDS:
        raise CeremonyError(
            "RF-LOG-003",
            "the entry is of a kind that this program does not know",
            expected="one of " + ", ".join(sorted(_KINDS)),
            found=repr(kind[:40]),
            effect="it is not an entry; a log that holds it is not signed",
            next_step="run the version of ringforge that the plan names",
            runbook="board-refuses",
        )
    try:
        entry: Entry = strict.read_fields(_KINDS[kind], values)
    except strict.Malformed as error:
        raise _malformed(str(error)) from error
    batch = getattr(entry, "batch", None)
    if batch is not None and batch.stage not in STAGES:
        raise _malformed("an unknown stage")
    return entry


def kind_of(data: bytes) -> str:
    """Return the kind that an envelope says its entry has, unverified; "" if it says none."""
    try:
        plain = strict.decode_plain(data)
        body = strict.decode_plain(plain[1]) if isinstance(plain, list) and plain[1:] else None
    except (strict.Malformed, TypeError):
        return ""
    return body[0] if isinstance(body, list) and body and isinstance(body[0], str) else ""


def endorse(
    body: bytes,
    plan_hash: bytes,
    signer: int,
    key: Ed25519PrivateKey,
    domain: bytes = ENTRY_DOMAIN,
) -> Endorsement:
    """Sign a body for this plan and purpose."""
    return Endorsement(signer, ED25519, key.sign(domain + plan_hash + body))


def assemble(body: bytes, endorsements: Iterable[Endorsement]) -> bytes:
    """Return the envelope of a body under these signatures, whatever order they came in."""
    return strict.encode(_Envelope(VERSION, body, tuple(sorted(set(endorsements)))))


def statement(entry: Entry, signatures: Mapping[int, bytes]) -> bytes:
    """Return the envelope of a statement under these operators' signatures."""
    parts = (Endorsement(signer, ED25519, part) for signer, part in signatures.items())
    return assemble(body_of(entry), parts)


def sign_entry(entry: Entry, plan: Plan, signer: int, key: Ed25519PrivateKey) -> bytes:
    """Return the envelope of a message of operator `signer`."""
    body = body_of(entry)
    return assemble(body, [endorse(body, plan.hash, signer, key)])


def sign_decision(entry: Decision, plan: Plan, signer: int, identity: HybridIdentity) -> bytes:
    """Return the envelope of a decision of operator `signer`, by every key of who speaks for it."""
    body = body_of(entry)
    algorithm = HYBRID if identity.ml_dsa else ED25519
    signature = identity.sign(ENTRY_DOMAIN + plan.hash + body)
    return assemble(body, [Endorsement(signer, algorithm, signature)])


def decode(data: bytes, plan: Plan) -> SignedEntry:
    """Read an envelope and verify everything about it that does not depend on its place.

    Raises:
        CeremonyError: RF-LOG-001 too large, -002 malformed, -003 unknown kind, -004 a signature
            or a signer is not valid, -005 too few signatures for a statement.
    """
    if len(data) > plan.limits.entry_bytes:
        raise CeremonyError(
            "RF-LOG-001",
            "the entry is larger than the plan allows",
            expected=f"at most {plan.limits.entry_bytes} bytes",
            found=f"{len(data)} bytes",
            effect="it is not an entry; a log that holds it is not signed",
            runbook="board-refuses",
        )
    envelope = _open(data, len(plan.operators))
    entry = entry_of(envelope.body)
    signers = tuple(part.signer for part in envelope.signatures)
    if isinstance(entry, STATEMENTS):
        if len(signers) < plan.quorum:
            raise CeremonyError(
                "RF-LOG-005",
                f"the {entry.kind} statement is not signed by enough operators",
                expected=f"{plan.quorum} of {plan.count} signatures",
                found=f"signatures of {', '.join(map(str, signers)) or 'nobody'}",
                effect="it is not an entry; a log that holds it is not signed",
                runbook="board-refuses",
            )
    elif len(signers) != 1:
        raise _malformed(f"{len(signers)} signatures under a message instead of one")
    for part in envelope.signatures:
        check_endorsement(envelope.body, plan, part, by_people=isinstance(entry, Decision))
    return SignedEntry(entry, signers, envelope.body)


def check_endorsement(
    body: bytes, plan: Plan, part: Endorsement, *, by_people: bool = False
) -> None:
    """Verify one operator's signature under the body of an entry.

    Args:
        body: what was signed.
        plan: names the keys.
        part: the signature.
        by_people: whether every key of who speaks for the operator has to sign, as for decisions.

    Raises:
        CeremonyError: RF-LOG-004 if it is not valid.
    """
    known = 1 <= part.signer <= plan.count
    message = ENTRY_DOMAIN + plan.hash + body
    if not known:
        valid = False
    elif by_people:
        speaker = speaker_of(plan, part.signer)
        wanted = HYBRID if speaker.ml_dsa else ED25519
        valid = part.algorithm == wanted and speaker.verifies(part.signature, message)
    else:
        key = plan.operators[part.signer - 1].identity_key
        valid = part.algorithm == ED25519 and verify_signature(key, message, part.signature)
    if not valid:
        raise CeremonyError(
            "RF-LOG-004",
            "a signature under the entry is not valid",
            expected="a signature under this plan by the operator it names",
            found=f"signer {part.signer}",
            effect="it is not an entry; a log that holds it is not signed",
            operator=plan.name_of(part.signer) if known else "",
            runbook="board-refuses",
        )


def sign_order(body: bytes, plan_hash: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return the envelope of an order of the coordinator; `body` is whatever the order says."""
    return assemble(body, [endorse(body, plan_hash, COORDINATOR, key, ORDER_DOMAIN)])


def open_order(data: bytes, plan_hash: bytes, *host_keys: bytes) -> bytes:
    """Verify an order and return its body.

    Args:
        data: the envelope.
        plan_hash: hash of the plan under which it must be signed.
        host_keys: keys of the coordinator, and of deputies that have hosted the board.

    Raises:
        CeremonyError: RF-ORDER-001 if none of them signed it.
    """
    try:
        envelope = _open(data, 1) if len(data) <= ORDER_BYTES else None
    except CeremonyError:
        envelope = None
    if (
        envelope is None
        or [(part.signer, part.algorithm) for part in envelope.signatures]
        != [(COORDINATOR, ED25519)]
        or not any(
            verify_signature(
                key, ORDER_DOMAIN + plan_hash + envelope.body, envelope.signatures[0].signature
            )
            for key in host_keys
        )
    ):
        raise CeremonyError(
            "RF-ORDER-001",
            "the order is not signed by the coordinator of this plan",
            expected="a signature of the coordinator key that the plan names, under its hash",
            found=f"{len(data)} bytes that do not verify",
            effect="the order is not followed",
            next_step="compare the plan hashes of coordinator and operator",
            runbook="order-refused",
        )
    return envelope.body


def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether this Ed25519 signature is valid."""
    try:
        _public_key(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _open(data: bytes, most_signatures: int) -> _Envelope:
    """Split an envelope; the signatures are not verified yet.

    Raises:
        CeremonyError: RF-LOG-002 if it is malformed.
    """
    try:
        envelope = strict.decode(_Envelope, data)
    except strict.Malformed as error:
        raise _malformed(str(error)) from error
    if envelope.version != VERSION:
        raise _malformed(f"version {envelope.version}")
    if len(envelope.signatures) > most_signatures:
        raise _malformed(f"{len(envelope.signatures)} signatures")
    if any(part.algorithm not in (ED25519, HYBRID) for part in envelope.signatures):
        raise _malformed("an unknown signature algorithm")
    signers = [part.signer for part in envelope.signatures]
    if signers != sorted(set(signers)):
        raise _malformed("signers that are not ascending")
    return envelope


def _malformed(reason: str) -> CeremonyError:
    return CeremonyError(
        "RF-LOG-002",
        "the bytes are not the canonical encoding of a signed entry",
        expected="deterministic CBOR with the fields of its kind",
        found=reason,
        effect="it is not an entry; a log that holds it is not signed",
        runbook="board-refuses",
    )


@lru_cache(maxsize=256)
def _public_key(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)
