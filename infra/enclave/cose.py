"""The envelope of a document: an untagged COSE_Sign1 with ES384 (RFC 9052, section 4.2).

The envelope is the part that nobody signs, so it has exactly one form: a definite array of the
protected header {1: -35}, an empty unprotected header, payload and signature, each length in its
shortest encoding. A changed byte is then a changed payload or a changed signature.
"""

from __future__ import annotations

from dataclasses import dataclass

import cbor2

from infra.enclave.cbor import NotCbor, read_cbor
from infra.enclave.refusals import malformed_document

__all__ = ["MOST_BYTES", "Envelope", "read_envelope"]

PROTECTED = bytes.fromhex("a1013822")
"""The header {1: -35}: algorithm ES384."""

SIGNATURE_BYTES = 96
MOST_PAYLOAD_BYTES = 16_384
MOST_BYTES = MOST_PAYLOAD_BYTES + SIGNATURE_BYTES + 16
"""Longest document: payload and signature with what COSE puts around them."""

_PARTS = 4


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload and its signature (r, s), each of 48 bytes."""

    payload: bytes
    signature: bytes

    @property
    def encoded(self) -> bytes:
        """The one encoding of this envelope."""
        return cbor2.dumps([PROTECTED, {}, self.payload, self.signature])

    @property
    def signed(self) -> bytes:
        """The Sig_structure: the bytes that the signature is over."""
        return cbor2.dumps(["Signature1", PROTECTED, b"", self.payload])


def read_envelope(data: bytes) -> Envelope:
    """Return the envelope whose encoding is `data`.

    Raises:
        CeremonyError: RF-ATTEST-001 if there is none.
    """
    if len(data) > MOST_BYTES:
        raise malformed_document(f"at most {MOST_BYTES} bytes", f"{len(data)} bytes")
    try:
        parts = read_cbor(data)
    except NotCbor as error:
        raise malformed_document("an untagged COSE_Sign1", str(error)) from error
    if not isinstance(parts, list) or len(parts) != _PARTS:
        raise malformed_document("an array of four parts", type(parts).__name__)
    protected, unprotected, payload, signature = parts
    if protected != PROTECTED:
        raise malformed_document("the protected header {1: -35}, ES384", "another header")
    if unprotected != {}:
        raise malformed_document("an empty unprotected header", "something in it")
    if not isinstance(payload, bytes) or len(payload) > MOST_PAYLOAD_BYTES:
        raise malformed_document(f"a payload of at most {MOST_PAYLOAD_BYTES} bytes", "another one")
    if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        raise malformed_document(f"a signature of {SIGNATURE_BYTES} bytes", "another one")
    envelope = Envelope(payload, signature)
    if envelope.encoded != data:
        raise malformed_document("the shortest encoding of the envelope", "another encoding")
    return envelope
