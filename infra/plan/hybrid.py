"""Hybrid identities: an Ed25519 and an ML-DSA-65 key (FIPS 204), and signatures by both.

A hybrid signature is the 64 bytes of Ed25519 followed by the 3,309 of ML-DSA-65, over the same
message.

Security: both must verify, so a forger has to break both. The plan names both keys of a party, so
nobody can leave one signature away. ML-DSA signatures are randomised: one message has many valid
ones, and only who holds the key can make another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from mpc_core.protocol.plan import COORDINATOR

if TYPE_CHECKING:
    from mpc_core.protocol.plan import (
        DeputyIdentity,
        OperatorIdentity,
        Plan,
        RepresentativeIdentity,
    )

__all__ = [
    "ED25519",
    "HYBRID",
    "HYBRID_BYTES",
    "ML_DSA_KEY_BYTES",
    "ML_DSA_SEED_BYTES",
    "HybridIdentity",
    "PublicIdentity",
    "signing_parties",
    "speaker_of",
]

ED25519, HYBRID = "ed25519", "ed25519+ml-dsa-65"
"""Names of the algorithms in plan.sig."""

ED25519_BYTES = 64
ML_DSA_BYTES = 3309
HYBRID_BYTES = ED25519_BYTES + ML_DSA_BYTES
ML_DSA_KEY_BYTES = 1952
ML_DSA_SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class PublicIdentity:
    """The keys by which a plan knows a party.

    Attributes:
        ed25519: 32 bytes.
        ml_dsa: 1,952 bytes; empty where the plan, of a sandbox, names none.
    """

    ed25519: bytes
    ml_dsa: bytes = b""

    @property
    def algorithm(self) -> str:
        """The one algorithm by which this party signs plans and decisions."""
        return HYBRID if self.ml_dsa else ED25519

    @property
    def signature_bytes(self) -> int:
        """Length of its signatures."""
        return HYBRID_BYTES if self.ml_dsa else ED25519_BYTES

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether every key of this party signed the message."""
        if len(signature) != self.signature_bytes:
            return False
        classical, post_quantum = signature[:ED25519_BYTES], signature[ED25519_BYTES:]
        try:
            Ed25519PublicKey.from_public_bytes(self.ed25519).verify(classical, message)
            if self.ml_dsa:
                _ml_dsa_key(self.ml_dsa).verify(post_quantum, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class HybridIdentity:
    """The private keys of a party; `ml_dsa` is None where its plan names no such key."""

    ed25519: Ed25519PrivateKey = field(repr=False)
    ml_dsa: MLDSA65PrivateKey | None = field(repr=False)

    @property
    def public(self) -> PublicIdentity:
        """The keys by which a plan names this identity."""
        ml_dsa = b"" if self.ml_dsa is None else self.ml_dsa.public_key().public_bytes_raw()
        return PublicIdentity(self.ed25519.public_key().public_bytes_raw(), ml_dsa)

    def sign(self, message: bytes) -> bytes:
        """Return the signature by every key."""
        post_quantum = b"" if self.ml_dsa is None else self.ml_dsa.sign(message)
        return self.ed25519.sign(message) + post_quantum


def signing_parties(plan: Plan) -> dict[str, PublicIdentity]:
    """Return who signs a plan: operators, coordinator, deputies, who speaks for operators."""
    coordinator = PublicIdentity(plan.coordinator_key, plan.coordinator_ml_dsa_key)
    return {
        **{each.name: _keys_of(each) for each in plan.operators},
        COORDINATOR: coordinator,
        **{each.name: _keys_of(each) for each in plan.deputies},
        **{each.name: _keys_of(each) for each in plan.representatives},
    }


def speaker_of(plan: Plan, operator: int) -> PublicIdentity:
    """Return by which keys an operator's people speak: those of who represents it, or its own."""
    return _keys_of(plan.representative_of(operator) or plan.operators[operator - 1])


def _keys_of(party: OperatorIdentity | DeputyIdentity | RepresentativeIdentity) -> PublicIdentity:
    return PublicIdentity(party.identity_key, party.ml_dsa_key)


@lru_cache(maxsize=64)
def _ml_dsa_key(raw: bytes) -> MLDSA65PublicKey:
    return MLDSA65PublicKey.from_public_bytes(raw)
