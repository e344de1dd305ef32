"""The question that a document between peers answers: who are you in this plan?

The nonce separates documents by purpose and is not what makes them fresh: a document counts for so
long as its own time says, and whoever shows it signs a TLS handshake with the key that it binds
(runbooks/adr/0031).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from infra.board import strict

if TYPE_CHECKING:
    from mpc_core.protocol.plan import Plan

__all__ = ["nonce_for"]

DOMAIN = b"ringforge/attestation-nonce/v1\0"


def nonce_for(plan: Plan, operator: str) -> bytes:
    """Return the nonce of the documents that an operator shows to its peers."""
    return hashlib.sha256(DOMAIN + strict.encode([plan.hash, operator])).digest()
