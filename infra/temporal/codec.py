"""Encryption of everything that crosses Temporal, so that its database holds ciphertext only.

The key follows from the bytes of plan.toml, which every party has before it first connects and a
server does not; it needs no keeping and no handing over (ADR "What Temporal sees, and who works
where"). A payload that is not under this key, or no JSON inside, is read as nothing: whoever steals
a task can answer it with rubbish, and rubbish must not stop the workflow that reads it.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    DefaultPayloadConverter,
    PayloadCodec,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PlanCodec", "converter_for"]

ENCODING = b"binary/ringforge-aes-256-gcm"
DOMAIN = b"ringforge/temporal/v1\0"
KEY_BYTES = 32
NONCE_BYTES = 12
MOST_BYTES = 1 << 21
"""Longest payload that is opened; Temporal takes no longer ones."""

JSON, BYTES = b"json/plain", b"binary/plain"
NOTHING = Payload(metadata={"encoding": b"binary/null"})


class PlanCodec(PayloadCodec):
    """Encrypts payloads under the key of one plan.

    Security: it hides contents from whoever runs Temporal and has not been shown the plan. It says
        nothing about who wrote them: orders and statements carry signatures for that. Names of
        workflows, queues and activities, codes of errors, lengths and times stay visible.
    """

    def __init__(self, plan_toml: bytes) -> None:
        """Derive the key.

        Args:
            plan_toml: the bytes of plan.toml.
        """
        key = HKDF(SHA256(), KEY_BYTES, None, DOMAIN).derive(plan_toml)
        self._cipher = AESGCM(key)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt payloads, each with what says how to read it."""
        return [self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt payloads; one that is none of this plan's becomes nothing."""
        return [self._decrypted(payload) for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        nonce = secrets.token_bytes(NONCE_BYTES)
        ciphertext = self._cipher.encrypt(nonce, payload.SerializeToString(), DOMAIN)
        return Payload(metadata={"encoding": ENCODING}, data=nonce + ciphertext)

    def _decrypted(self, payload: Payload) -> Payload:
        data = payload.data
        if payload.metadata.get("encoding") != ENCODING or len(data) > MOST_BYTES:
            return NOTHING
        try:
            plain = self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], DOMAIN)
            found = Payload.FromString(plain)
            if found.metadata.get("encoding") == JSON:
                json.loads(found.data)
        except (InvalidTag, DecodeError, ValueError, RecursionError):
            return NOTHING
        return found if found.metadata.get("encoding") in {JSON, BYTES} else NOTHING


def converter_for(plan_toml: bytes) -> DataConverter:
    """Return the converter of a plan's parties: JSON, encrypted, messages of failures too."""
    return DataConverter(
        payload_converter_class=DefaultPayloadConverter,
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
        payload_codec=PlanCodec(plan_toml),
    )
