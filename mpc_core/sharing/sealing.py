"""HPKE with the hybrid KEM of this project: what one operator seals, one other can open.

RFC 9180 in base mode with MLKEM768_X25519, HKDF-SHA256 and AES-256-GCM. Each private key belongs to
one ceremony and one purpose and is destroyed when that is done: a transcript recorded today must
stay useless for decades. Source: PROTOCOL.md, "PRSS keys" and "Recovery and destruction".
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["KEM_PUBLIC_BYTES", "KEM_SEED_BYTES", "fields", "kem_public_key", "open_sealed", "seal"]

KEM_SEED_BYTES = 96
"""A private KEM key: 64 bytes of ML-KEM-768 seed, 32 bytes of X25519."""

KEM_PUBLIC_BYTES = 1216
"""A public KEM key: 1184 bytes of ML-KEM-768, 32 bytes of X25519."""

_MLKEM_SEED_BYTES = 64
_MLKEM_PUBLIC_BYTES = 1184
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def kem_public_key(seed: bytes) -> bytes:
    """Return the public key of a private KEM key (96 random bytes): ML-KEM-768, then X25519."""
    mlkem, x25519 = _private_parts(seed)
    return mlkem.public_key().public_bytes(
        Encoding.Raw, PublicFormat.Raw
    ) + x25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def seal(public_key: bytes, plaintext: bytes, info: bytes) -> bytes:
    """Seal to a public KEM key; an unusable key, which nobody can open for, gives no bytes."""
    try:
        return _SUITE.encrypt(
            plaintext,
            MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(public_key[:_MLKEM_PUBLIC_BYTES]),
                X25519PublicKey.from_public_bytes(public_key[_MLKEM_PUBLIC_BYTES:]),
            ),
            info,
        )
    except ValueError:
        return b""


def open_sealed(seed: bytes, sealed: bytes, info: bytes) -> bytes | None:
    """Open what was sealed to the key of this seed under this very `info`; None if it was not."""
    try:
        return _SUITE.decrypt(sealed, MLKEM768X25519PrivateKey(*_private_parts(seed)), info)
    except InvalidTag:
        return None


def fields(*parts: bytes) -> bytes:
    """Encode injectively: the number of parts, then each with its length."""
    return len(parts).to_bytes(4, "big") + b"".join(
        len(part).to_bytes(4, "big") + part for part in parts
    )


def _private_parts(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    return (
        MLKEM768PrivateKey.from_seed_bytes(seed[:_MLKEM_SEED_BYTES]),
        X25519PrivateKey.from_private_bytes(seed[_MLKEM_SEED_BYTES:]),
    )
