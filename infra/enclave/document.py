"""What an attestation document says: the payload that the security module of an enclave signs.

Its format is AWS's ("Nitro Enclaves Attestation Process", 2.2 and 3.2). Fields, types and lengths
are checked here; whether any of it is true is decided in `verification`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.enclave.cbor import NotCbor, read_cbor
from infra.enclave.cose import read_envelope
from infra.enclave.refusals import malformed_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.enclave.cose import Envelope

__all__ = ["DIGEST_BYTES", "Document", "read_document"]

DIGEST = "SHA384"
DIGEST_BYTES = 48
MOST_REGISTERS = 32
MOST_CERTIFICATES = 8
MOST_CERTIFICATE_BYTES = 1_024
MOST_FIELD_BYTES = 1_024
MOST_NAME = 256
LATEST_MS = 253_402_300_799_000
"""The end of the year 9999, after which there are no dates."""

REQUIRED = frozenset({"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"})
OPTIONAL = frozenset({"public_key", "user_data", "nonce"})


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it says of itself.

    Attributes:
        envelope: payload and signature.
        module_id: which security module signed, as instance and enclave.
        timestamp_ms: when, in milliseconds since 1970, by the module's clock.
        pcrs: platform configuration registers by index, 48 bytes each.
        certificate: DER of the certificate whose key signed.
        cabundle: DER of the certificates above it, the root first.
        public_key: DER of a key that the enclave chose, or None.
        user_data: bytes that the enclave chose, or None.
        nonce: bytes that whoever asked for the document chose, or None.
    """

    envelope: Envelope
    module_id: str
    timestamp_ms: int
    pcrs: Mapping[int, bytes]
    certificate: bytes
    cabundle: tuple[bytes, ...]
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None

    @property
    def time(self) -> dt.datetime:
        """When the module signed."""
        return dt.datetime.fromtimestamp(self.timestamp_ms / 1000, dt.UTC)

    @property
    def digest(self) -> bytes:
        """SHA-256 of what is signed: the name of the document.

        Not of its bytes: from an ECDSA signature (r, s) anybody makes (r, n - s), which is another
        file that says the same.
        """
        return hashlib.sha256(self.envelope.signed).digest()


def read_document(data: bytes) -> Document:
    """Return what a document says; nothing of it is verified.

    Raises:
        CeremonyError: RF-ATTEST-001 if the bytes are no document.
    """
    envelope = read_envelope(data)
    try:
        fields = read_cbor(envelope.payload)
    except NotCbor as error:
        raise malformed_document("a CBOR map as payload", str(error)) from error
    if not isinstance(fields, dict):
        raise malformed_document("a CBOR map as payload", type(fields).__name__)
    named = {name: value for name, value in fields.items() if isinstance(name, str)}
    if len(named) != len(fields) or not REQUIRED <= named.keys() <= REQUIRED | OPTIONAL:
        raise malformed_document("every field of a document, and no other", "other fields")
    if _text(named, "digest") != DIGEST:
        raise malformed_document(f"registers of {DIGEST}", "another digest")
    return Document(
        envelope=envelope,
        module_id=_text(named, "module_id"),
        timestamp_ms=_timestamp(named),
        pcrs=_registers(named),
        certificate=_bytes("certificate", named["certificate"], 1, MOST_CERTIFICATE_BYTES),
        cabundle=_bundle(named),
        public_key=_optional(named, "public_key", 1),
        user_data=_optional(named, "user_data", 0),
        nonce=_optional(named, "nonce", 0),
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str) or not 1 <= len(value) <= MOST_NAME or not value.isprintable():
        raise malformed_document(f"{name}: printable text", type(value).__name__)
    return value


def _timestamp(fields: Mapping[str, Any]) -> int:
    value = fields["timestamp"]
    if type(value) is not int or not 0 < value <= LATEST_MS:
        raise malformed_document("timestamp: milliseconds since 1970", type(value).__name__)
    return value


def _registers(fields: Mapping[str, Any]) -> dict[int, bytes]:
    pcrs = fields["pcrs"]
    if not isinstance(pcrs, dict) or not 1 <= len(pcrs) <= MOST_REGISTERS:
        raise malformed_document(f"pcrs: 1 to {MOST_REGISTERS} registers", type(pcrs).__name__)
    for index in pcrs:
        if type(index) is not int or not 0 <= index < MOST_REGISTERS:
            raise malformed_document(f"pcrs: indices below {MOST_REGISTERS}", "another index")
    return {
        index: _bytes(f"pcrs {index}", pcrs[index], DIGEST_BYTES, DIGEST_BYTES)
        for index in sorted(pcrs)
    }


def _bundle(fields: Mapping[str, Any]) -> tuple[bytes, ...]:
    bundle = fields["cabundle"]
    if not isinstance(bundle, list) or not 1 <= len(bundle) <= MOST_CERTIFICATES:
        raise malformed_document(
            f"cabundle: 1 to {MOST_CERTIFICATES} certificates", type(bundle).__name__
        )
    return tuple(_bytes("cabundle", each, 1, MOST_CERTIFICATE_BYTES) for each in bundle)


def _optional(fields: Mapping[str, Any], name: str, least: int) -> bytes | None:
    value = fields.get(name)
    return None if value is None else _bytes(name, value, least, MOST_FIELD_BYTES)


def _bytes(name: str, value: object, least: int, most: int) -> bytes:
    if not isinstance(value, bytes) or not least <= len(value) <= most:
        found = f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__
        raise malformed_document(f"{name}: {least} to {most} bytes", found)
    return value
