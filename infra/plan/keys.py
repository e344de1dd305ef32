"""Identity keys in an operator's vault, and the insecure setup seed of reproducible sandboxes.

An identity is pinned by the plan. Its Ed25519 key signs log entries and checkpoints, both of its
keys the plan and decisions; the file holds the one of Ed25519 first. With
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
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
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
from infra.plan.hybrid import ML_DSA_SEED_BYTES, HybridIdentity, PublicIdentity
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import COORDINATOR

if TYPE_CHECKING:
    from pathlib import Path

    from mpc_core.protocol.plan import Plan

__all__ = [
    "COORDINATOR",
    "IDENTITY_FILE",
    "SETUP_SEED",
    "SetupSeed",
    "create_hybrid_identity",
    "create_identity",
    "create_ml_dsa_key",
    "identity_bytes",
    "load_hybrid_identity",
    "load_identity",
    "load_setup_seed",
    "parse_identity",
    "pinned_identity",
    "public_key_of",
    "read_identity",
    "setup_seed_of",
    "write_identity",
]

SETUP_SEED = "setup-seed"
"""How a plan names the shortcut, and the file in the vault that holds a party's own part of it."""

IDENTITY_FILE = "identity.key"
SEED_BYTES = 32
LONGEST_PIECE = 255 * 32
PEM_END = b"-----END PRIVATE KEY-----\n"


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

    def ml_dsa_key(self) -> MLDSA65PrivateKey:
        """Return the second identity key of that party."""
        return MLDSA65PrivateKey.from_seed_bytes(self.derive("ml-dsa-65", ML_DSA_SEED_BYTES))


def create_identity() -> Ed25519PrivateKey:
    """Return a fresh identity key."""
    return Ed25519PrivateKey.from_private_bytes(secrets.token_bytes(32))


def create_hybrid_identity() -> HybridIdentity:
    """Return a fresh identity with both keys."""
    return HybridIdentity(create_identity(), create_ml_dsa_key())


def create_ml_dsa_key() -> MLDSA65PrivateKey:
    """Return a fresh second identity key."""
    return MLDSA65PrivateKey.from_seed_bytes(secrets.token_bytes(ML_DSA_SEED_BYTES))


def public_key_of(key: Ed25519PrivateKey) -> bytes:
    """Return the 32 bytes by which a plan pins this identity."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def write_identity(
    vault: Path, key: Ed25519PrivateKey, ml_dsa: MLDSA65PrivateKey | None = None
) -> None:
    """Keep the keys of an identity in a vault, readable by its owner only.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
    """
    write_atomic(vault / IDENTITY_FILE, identity_bytes(key, ml_dsa), SECRET_FILE)


def identity_bytes(key: Ed25519PrivateKey, ml_dsa: MLDSA65PrivateKey | None = None) -> bytes:
    """Return the bytes of a key file; whoever has them is this party."""
    keys = (key,) if ml_dsa is None else (key, ml_dsa)
    pem = (each.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for each in keys)
    return b"".join(pem)


def load_identity(vault: Path, pinned: bytes, owner: str) -> Ed25519PrivateKey:
    """Return the Ed25519 key of a vault after checking that the plan pins it.

    Args:
        vault: folder that holds the key.
        pinned: public key in the plan.
        owner: name of the party, for the error.

    Raises:
        CeremonyError: RF-PLAN-010 if there is no key, it cannot be read, or it is another one.
    """
    identity = read_identity(vault, owner)
    _check_pinned(owner, identity.public.ed25519, pinned)
    return identity.ed25519


def load_hybrid_identity(vault: Path, pinned: PublicIdentity, owner: str) -> HybridIdentity:
    """Return what signs a plan and decisions for a party: every key that the plan names.

    Raises:
        CeremonyError: as `load_identity`, for either key.
    """
    return pinned_identity(read_identity(vault, owner), pinned, owner)


def pinned_identity(identity: HybridIdentity, pinned: PublicIdentity, owner: str) -> HybridIdentity:
    """Return an identity after checking that the plan pins it.

    Raises:
        CeremonyError: as `load_identity`, for either key.
    """
    _check_pinned(owner, identity.public.ed25519, pinned.ed25519)
    if not pinned.ml_dsa:
        return HybridIdentity(identity.ed25519, None)
    _check_pinned(owner, identity.public.ml_dsa, pinned.ml_dsa)
    return identity


def read_identity(vault: Path, owner: str) -> HybridIdentity:
    """Return the keys in a vault, whatever a plan says of them.

    Raises:
        CeremonyError: RF-PLAN-010 if there is no Ed25519 key, or anything else than the two.
    """
    try:
        data = (vault / IDENTITY_FILE).read_bytes()
    except OSError as error:
        raise _identity_error(owner, f"{error.strerror}: {vault / IDENTITY_FILE}") from error
    return parse_identity(data, owner)


def parse_identity(data: bytes, owner: str) -> HybridIdentity:
    """Return the keys in the bytes of a key file.

    Raises:
        CeremonyError: RF-PLAN-010 if there is no Ed25519 key, or anything else than the two.
    """
    blocks = data.split(PEM_END)
    try:
        keys = [load_pem_private_key(block + PEM_END, password=None) for block in blocks[:-1]]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _identity_error(owner, "a file that is no PEM private key") from error
    match keys, blocks[-1]:
        case [Ed25519PrivateKey() as key], b"":
            return HybridIdentity(key, None)
        case [Ed25519PrivateKey() as key, MLDSA65PrivateKey() as ml_dsa], b"":
            return HybridIdentity(key, ml_dsa)
    raise _identity_error(owner, "private keys of other kinds")


def _check_pinned(owner: str, found: bytes, pinned: bytes) -> None:
    if found != pinned:
        shown = f"the key of {_short(found)}" if found else "no second key"
        raise _identity_error(owner, shown, _short(pinned))


def _short(public_key: bytes) -> str:
    """Return a public key as a person compares it: the long one by its beginning."""
    text = public_key.hex()
    return text if len(public_key) <= SEED_BYTES else f"{text[:64]}..."


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
    return setup_seed_of(value, plan)


def setup_seed_of(value: bytes, plan: Plan) -> SetupSeed | None:
    """Return a party's part of the setup seed if the plan allows one; raises as above."""
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
