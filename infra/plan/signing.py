"""plan.sig: the signatures of all parties over the hash of plan.toml.

One line for each party, operators in plan order, then the coordinator, then its deputies: name,
algorithm, base64.
The signed bytes are a domain prefix and the SHA-256 of the plan, so that a signature under a plan
can never pass for one under anything else.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from infra.files import write_atomic
from infra.plan.document import parse_plan, render_plan
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.plan.document import PlanDocument
    from mpc_core.protocol.plan import Plan

__all__ = ["SignedPlan", "load_signed_plan", "sign_plan", "verify_signed_plan", "write_signed_plan"]

DOMAIN = b"ringforge/plan/v1\0"
ALGORITHM = "ed25519"
PLAN_FILE, SIGNATURE_FILE = "plan.toml", "plan.sig"
MOST_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class SignedPlan:
    """A plan whose signatures are all valid, with the bytes of its two files."""

    plan: Plan
    toml: bytes
    signatures: bytes


def sign_plan(document: PlanDocument, keys: Mapping[str, Ed25519PrivateKey]) -> SignedPlan:
    """Sign a plan with the keys of all its parties (one place holds them only in a sandbox).

    Args:
        document: the plan.
        keys: identity key of every operator by name, of the coordinator, and of its deputies.

    Raises:
        CeremonyError: RF-PLAN-001 to RF-PLAN-009 if the result would be refused by anybody.
    """
    toml = render_plan(document)
    plan = document.to_plan()
    names = [*(operator.name for operator in plan.operators), *plan.hosts]
    signed = DOMAIN + plan.hash
    lines = (_line(name, keys[name].sign(signed)) for name in names)
    return verify_signed_plan(toml, "".join(lines).encode())


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
    toml, signatures = (_read(folder / name) for name in (PLAN_FILE, SIGNATURE_FILE))
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
    _check_signatures(plan, signatures)
    return SignedPlan(plan, toml, signatures)


def _check_signatures(plan: Plan, data: bytes) -> None:
    signed = DOMAIN + plan.hash
    parties = [(operator.name, operator.identity_key) for operator in plan.operators]
    parties.extend(plan.hosts.items())
    lines = data[:MOST_BYTES].split(b"\n")
    for (name, key), line in zip(parties, lines, strict=False):
        signature = _signature_in(name, line)
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
        except (InvalidSignature, ValueError) as error:
            raise _signature_error(name, "a signature that does not match") from error
    if len(lines) <= len(parties):
        missing = parties[len(lines) - 1][0] if len(lines) - 1 < len(parties) else parties[-1][0]
        raise _signature_error(missing, "a file that ends too early")
    if len(lines) > len(parties) + 1 or lines[-1] or len(data) > MOST_BYTES:
        raise _signature_error("", "something after the last signature")


def _signature_in(name: str, line: bytes) -> bytes:
    """Return the signature of a line, which must be exactly the line that would be written."""
    try:
        signature = base64.b64decode(line.rpartition(b" ")[2], validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    if line + b"\n" != _line(name, signature).encode():
        raise _signature_error(name, "a line that is not a signature of this party")
    return signature


def _line(name: str, signature: bytes) -> str:
    return f"{name} {ALGORITHM} {base64.b64encode(signature).decode()}\n"


def _read(path: Path) -> bytes:
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


def _signature_error(name: str, found: str) -> CeremonyError:
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
