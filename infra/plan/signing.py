"""plan.sig: the signatures of all parties over the hash of plan.toml.

One line for each party, operators in plan order, then the coordinator, its deputies, and who speaks
for operators: name, algorithm, base64. While signatures are gathered, lines of who has not signed
are missing. The signed bytes are a domain prefix and the SHA-256 of the plan, so that a signature
under a plan can never pass for one under anything else.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.files import write_atomic
from infra.plan.document import parse_plan, render_plan
from infra.plan.hybrid import HybridIdentity, signing_parties
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

    from infra.plan.document import PlanDocument
    from infra.plan.hybrid import PublicIdentity
    from mpc_core.protocol.plan import Plan

__all__ = [
    "PLAN_FILE",
    "SIGNATURE_FILE",
    "SignedPlan",
    "is_signed_by",
    "load_signed_plan",
    "missing_signers",
    "read_file",
    "read_signatures",
    "sign_plan",
    "signature_of",
    "verify_signed_plan",
    "write_signatures",
    "write_signed_plan",
]

DOMAIN = b"ringforge/plan/v1\0"
PLAN_FILE, SIGNATURE_FILE = "plan.toml", "plan.sig"
MOST_BYTES = 196_608
"""Longest plan.sig; 35 parties that sign with both keys need about 160 KB."""


@dataclass(frozen=True, slots=True)
class SignedPlan:
    """A plan whose signatures are all valid, with the bytes of its two files."""

    plan: Plan
    toml: bytes
    signatures: bytes


def sign_plan(
    document: PlanDocument,
    keys: Mapping[str, Ed25519PrivateKey],
    ml_dsa_keys: Mapping[str, MLDSA65PrivateKey] | None = None,
) -> SignedPlan:
    """Sign a plan with the keys of all its parties (one place holds them only in a sandbox).

    Args:
        document: the plan.
        keys: identity key of every operator by name, of the coordinator, and of its deputies.
        ml_dsa_keys: their second keys, if the plan names any.

    Raises:
        CeremonyError: RF-PLAN-001 to RF-PLAN-009 if the result would be refused by anybody.
    """
    plan = document.to_plan()
    second = ml_dsa_keys or {}
    signatures = {
        name: signature_of(plan, HybridIdentity(keys[name], second.get(name)))
        for name in signing_parties(plan)
    }
    return verify_signed_plan(render_plan(document), write_signatures(plan, signatures))


def signature_of(plan: Plan, identity: HybridIdentity) -> bytes:
    """Return a party's signature under a plan."""
    return identity.sign(DOMAIN + plan.hash)


def is_signed_by(plan: Plan, party: PublicIdentity, signature: bytes) -> bool:
    """Tell whether this is the party's signature under the plan, by every key that it names."""
    return party.verifies(signature, DOMAIN + plan.hash)


def write_signatures(plan: Plan, signatures: Mapping[str, bytes]) -> bytes:
    """Return the bytes of plan.sig with these signatures, by name, in the one order."""
    parties = signing_parties(plan).items()
    return b"".join(
        _line(name, party, signatures[name]) for name, party in parties if name in signatures
    )


def missing_signers(plan: Plan, signatures: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return who has yet to sign, in the order of the plan."""
    return tuple(name for name in signing_parties(plan) if name not in signatures)


def write_signed_plan(folder: Path, signed: SignedPlan) -> None:
    """Write plan.toml and plan.sig, the signatures first: a plan.toml is never unsigned.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
    """
    write_atomic(folder / SIGNATURE_FILE, signed.signatures)
    write_atomic(folder / PLAN_FILE, signed.toml)


def load_signed_plan(folder: Path, plan_hash: str | None = None) -> SignedPlan:
    """Read and check plan.toml and plan.sig of a folder.

    Args:
        folder: a ceremony's folder or a home.
        plan_hash: the hash, in hex, that the plan must have; any by default.

    Raises:
        CeremonyError: RF-PLAN-012 if a file is missing, otherwise as `verify_signed_plan`.
    """
    toml, signatures = (read_file(folder / name) for name in (PLAN_FILE, SIGNATURE_FILE))
    return verify_signed_plan(toml, signatures, plan_hash)


def verify_signed_plan(toml: bytes, signatures: bytes, plan_hash: str | None = None) -> SignedPlan:
    """Check the bytes of a plan and of its signatures.

    Raises:
        CeremonyError: RF-PLAN-001 to RF-PLAN-007 for the plan itself, RF-PLAN-008 if it is not
            the expected plan, RF-PLAN-009 if a signature is missing or does not match.
    """
    plan = parse_plan(toml).to_plan()
    if plan_hash is not None and plan_hash.lower() != plan.hash.hex():
        raise CeremonyError(
            "RF-PLAN-008",
            "this is another plan than the expected one",
            expected=plan_hash[:64],
            found=plan.hash.hex(),
            effect="nothing of this ceremony is accepted",
            next_step="compare the plan hash with the other operators by a second channel",
            runbook="start",
        )
    missing = missing_signers(plan, read_signatures(plan, signatures))
    if missing:
        raise _signature_error(missing[0], found="a file without it")
    return SignedPlan(plan, toml, signatures)


def read_signatures(plan: Plan, data: bytes) -> dict[str, bytes]:
    """Return the signatures of those who have signed, by name, in the order of the plan.

    Security: each is the party's own, by every key that the plan names, and the bytes are exactly
        those that `write_signatures` makes of them.

    Raises:
        CeremonyError: RF-PLAN-009 if there is anything else.
    """
    if len(data) > MOST_BYTES:
        raise _signature_error(found=f"{len(data)} bytes")
    parties = signing_parties(plan)
    left = list(parties)
    found: dict[str, bytes] = {}
    for line in data.splitlines(keepends=True):
        name = next((name for name in left if line.startswith(f"{name} ".encode())), "")
        if not name:
            raise _signature_error(*left[:1], found="a line of nobody who is left to sign")
        del left[: left.index(name) + 1]
        found[name] = _signature_in(name, parties[name], line)
        if not is_signed_by(plan, parties[name], found[name]):
            raise _signature_error(name, found="a signature that does not match")
    return found


def _signature_in(name: str, party: PublicIdentity, line: bytes) -> bytes:
    """Return the signature of a line, which must be exactly the line that would be written."""
    try:
        signature = base64.b64decode(line.rpartition(b" ")[2].removesuffix(b"\n"), validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    if line != _line(name, party, signature):
        raise _signature_error(name, found="a line that is not a signature of this party")
    return signature


def _line(name: str, party: PublicIdentity, signature: bytes) -> bytes:
    return f"{name} {party.algorithm} {base64.b64encode(signature).decode()}\n".encode()


def read_file(path: Path) -> bytes:
    """Return the bytes of plan.toml or plan.sig.

    Raises:
        CeremonyError: RF-PLAN-012 if it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CeremonyError(
            "RF-PLAN-012",
            f"{path.name} cannot be read",
            expected=f"the signed plan in {path.parent}",
            found=error.strerror or type(error).__name__,
            effect="nothing was started",
            next_step="check the path of the ceremony's folder or home",
            runbook="start",
        ) from error


def _signature_error(name: str = "", *, found: str) -> CeremonyError:
    whose = f"signature of {name}" if name else "list of signatures"
    return CeremonyError(
        "RF-PLAN-009",
        f"the {whose} in plan.sig is not valid",
        expected="valid signatures of all operators, in plan order, and then of the coordinator",
        found=found,
        effect="nothing of this ceremony is accepted",
        next_step="fetch plan.toml and plan.sig again; if they stay the same, call the operator",
        runbook="start",
        operator=name,
    )
