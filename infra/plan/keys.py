"""Identity keys in an operator's vault, and the insecure setup seed of reproducible sandboxes.

An identity key signs the plan, log entries and checkpoints, and is pinned by the plan. With
`--insecure-setup-seed` everything that is random otherwise is derived from one seed by HKDF under
labels that name its use; a plan says so in `insecure`, and no other plan may use one.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from infra.files import SECRET_FILE, write_atomic
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import COORDINATOR

if TYPE_CHECKING:
    from pathlib import Path

    from mpc_core.protocol.plan import Plan

__all__ = [
    "COORDINATOR",
    "SETUP_SEED",
    "SetupSeed",
    "create_identity",
    "load_identity",
    "load_setup_seed",
    "public_key_of",
    "write_identity",
]

SETUP_SEED = "setup-seed"
"""How a plan names the shortcut, and the file in the vault that holds a party's own part of it."""

IDENTITY_FILE = "identity.key"
SEED_BYTES = 32
LONGEST_PIECE = 255 * 32


@dataclass(frozen=True, slots=True)
class SetupSeed:
    """The seed of an insecure, reproducible ceremony, or the part of it that one party knows."""

    value: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> SetupSeed:
        """Return the seed that a person typed.

        Raises:
            CeremonyError: RF-PLAN-011 unless it is 1 to 64 pairs of hex digits.
        """
        if not re.fullmatch("(?:[0-9a-fA-F]{2}){1,64}", text):
            raise CeremonyError(
                "RF-PLAN-011",
                "the setup seed cannot be read",
                expected="an even number of hex digits, at most 128",
                found=f"{len(text)} characters that are not that",
                effect="nothing was started",
                next_step="for example --insecure-setup-seed 00112233445566778899aabbccddeeff",
                runbook="start",
            )
        return cls(bytes.fromhex(text))

    def derive(self, label: str, length: int = SEED_BYTES) -> bytes:
        """Return the bytes that belong to a use; different labels give independent bytes.

        HKDF gives 8,160 bytes at most; what goes beyond is derived under further labels.
        """
        info = b"ringforge/setup-seed/v1/" + label.encode()
        pieces = []
        for number, start in enumerate(range(0, length, LONGEST_PIECE)):
            size = min(length - start, LONGEST_PIECE)
            place = info + b"\0%d" % number if number else info
            pieces.append(HKDF(SHA256(), size, salt=None, info=place).derive(self.value))
        return b"".join(pieces)

    def ceremony_id(self) -> str:
        """Return the ceremony identifier, as it stands in the plan."""
        return self.derive("ceremony-id", 16).hex()

    def party(self, name: str) -> SetupSeed:
        """Return the part of the seed that only this party gets."""
        return SetupSeed(self.derive(f"party/{name}"))

    def identity(self) -> Ed25519PrivateKey:
        """Return the identity key of the party whose part of the seed this is."""
        return Ed25519PrivateKey.from_private_bytes(self.derive("identity"))


def create_identity() -> Ed25519PrivateKey:
    """Return a fresh identity key."""
    return Ed25519PrivateKey.from_private_bytes(secrets.token_bytes(32))


def public_key_of(key: Ed25519PrivateKey) -> bytes:
    """Return the 32 bytes by which a plan pins this identity."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def write_identity(vault: Path, key: Ed25519PrivateKey) -> None:
    """Keep an identity key in a vault, readable by its owner only.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
    """
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomic(vault / IDENTITY_FILE, pem, SECRET_FILE)


def load_identity(vault: Path, pinned: bytes, owner: str) -> Ed25519PrivateKey:
    """Return the identity key of a vault after checking that the plan pins it.

    Args:
        vault: folder that holds the key.
        pinned: public key in the plan.
        owner: name of the party, for the error.

    Raises:
        CeremonyError: RF-PLAN-010 if there is no key, it cannot be read, or it is another one.
    """
    try:
        key = load_pem_private_key((vault / IDENTITY_FILE).read_bytes(), password=None)
    except OSError as error:
        raise _identity_error(owner, f"{error.strerror}: {vault / IDENTITY_FILE}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _identity_error(owner, "a file that is no PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _identity_error(owner, "a private key of another kind")
    if public_key_of(key) != pinned:
        raise _identity_error(owner, f"the key of {public_key_of(key).hex()}", pinned.hex())
    return key


def load_setup_seed(vault: Path, plan: Plan) -> SetupSeed | None:
    """Return this party's part of the setup seed if the plan allows one, else nothing.

    Raises:
        CeremonyError: RF-PLAN-005 if the vault holds a seed that the plan does not name,
            RF-PLAN-011 if the plan names one that the vault lacks.
    """
    try:
        value = (vault / SETUP_SEED).read_bytes()
    except FileNotFoundError:
        value = b""
    allowed = plan.sandbox and SETUP_SEED in plan.insecure
    if value and not allowed:
        raise CeremonyError(
            "RF-PLAN-005",
            "this home holds an insecure setup seed that its plan does not name",
            expected='sandbox = true and insecure = ["setup-seed"] in plan.toml',
            found=f"sandbox = {plan.sandbox}, insecure = {list(plan.insecure)}",
            effect="this process does not start: its secrets would not be random",
            next_step=f"remove {SETUP_SEED} from the vault",
            runbook="start",
        )
    if allowed and len(value) != SEED_BYTES:
        raise CeremonyError(
            "RF-PLAN-011",
            "the plan names a setup seed that this home does not hold",
            expected=f"{SEED_BYTES} bytes in vault/{SETUP_SEED}",
            found=f"{len(value)} bytes",
            effect="this process does not start: the ceremony would not be reproducible",
            next_step="make the sandbox again under another --id",
            runbook="start",
        )
    return SetupSeed(value) if allowed else None


def write_setup_seed(vault: Path, part: SetupSeed) -> None:
    """Keep a party's part of the setup seed in its vault.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
    """
    write_atomic(vault / SETUP_SEED, part.value, SECRET_FILE)


def _identity_error(owner: str, found: str, expected: str = "") -> CeremonyError:
    return CeremonyError(
        "RF-PLAN-010",
        f"the identity key of {owner} is not the one that the plan names",
        expected=expected or "an Ed25519 private key in vault/identity.key",
        found=found,
        effect=f"{owner} does not start; nobody would accept what it signs",
        next_step="start in the home that this plan was signed in, or restore its vault",
        runbook="an-operator-is-down",
        operator=owner,
    )
