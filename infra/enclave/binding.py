"""What ties an enclave to an operator of one plan: the user data of its attestation documents.

Hybrid keys do not fit into a document, so it carries a hash of them. Who asks for a document and
who checks it compute the hash with the same function.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from infra.board import strict

if TYPE_CHECKING:
    from mpc_core.protocol.plan import Plan

__all__ = ["Binding"]

DOMAIN = b"ringforge/attestation-binding/v1\0"


@dataclass(frozen=True, slots=True)
class Binding:
    """Whose enclave this is, and which keys live in it.

    Attributes:
        plan_hash: SHA-256 of the plan.
        operator: the operator's name in the plan.
        identity_keys: its public identity keys, in the order of the plan.
        tls_key: DER (SubjectPublicKeyInfo) of the key of its TLS certificate.
        kem_key: its public KEM key; empty before it has one.
    """

    plan_hash: bytes
    operator: str
    identity_keys: tuple[bytes, ...]
    tls_key: bytes
    kem_key: bytes

    @classmethod
    def of(cls, plan: Plan, operator: str, tls_key: bytes, kem_key: bytes) -> Self:
        """Return the binding of an operator of a plan.

        Raises:
            KeyError: if the plan names no such operator.
        """
        named = {each.name: each for each in plan.operators}[operator]
        keys = (named.identity_key, named.ml_dsa_key) if named.ml_dsa_key else (named.identity_key,)
        return cls(plan.hash, operator, keys, tls_key, kem_key)

    @property
    def user_data(self) -> bytes:
        """SHA-256 over the domain and the one encoding of all fields.

        Security: every field has its length in the encoding, so no two bindings share one; whoever
            finds another binding with this hash has a collision of SHA-256.
        """
        return hashlib.sha256(DOMAIN + strict.encode(self)).digest()
