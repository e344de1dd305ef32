"""The signature in an image: a certificate, and a COSE_Sign1 by its key over PCR0.

Who starts an enclave checks it before the start, and PCR8 names the certificate afterwards. The
certificate's times are shown and not judged here: the machine that starts the image judges them.
Source: the same specification as `eif`, "EifSectionSignature". Byte strings stand there as arrays
of small numbers, as its tools write them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding

from infra.enclave.cbor import NotCbor, read_cbor
from infra.image.refusals import image_error

if TYPE_CHECKING:
    import datetime as dt

    from mpc_core.protocol.errors import CeremonyError

__all__ = ["ImageSignature", "read_signature"]

PARTS = 4
ALGORITHMS = {
    "secp256r1": (-7, SHA256(), 32),
    "secp384r1": (-35, SHA384(), 48),
    "secp521r1": (-36, SHA512(), 66),
}
"""By curve: the number of the algorithm in COSE, its hash, and the length of r and of s."""

MALFORMED = (
    ValueError,
    KeyError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
)
"""What the libraries raise for bytes that are no certificate, key or signature."""


@dataclass(frozen=True, slots=True)
class ImageSignature:
    """Who signed an image.

    Attributes:
        certificate: in DER; PCR8 is over these bytes.
        subject: the name in it.
        until: when it ends; no machine starts the image after that.
    """

    certificate: bytes
    subject: str
    until: dt.datetime


def read_signature(section: bytes, pcr0: bytes) -> ImageSignature:
    """Return who signed an image.

    Args:
        section: the data of the signature section.
        pcr0: of the image around it.

    Raises:
        CeremonyError: RF-IMAGE-002 unless it is a signature over this PCR0.
    """
    try:
        pem, envelope = _parts(section)
        certificate = x509.load_pem_x509_certificate(pem)
        der = certificate.public_bytes(Encoding.DER)
        _check(envelope, certificate.public_key(), pcr0)
        subject = certificate.subject.rfc4514_string()
        return ImageSignature(der, subject, certificate.not_valid_after_utc)
    except MALFORMED as error:
        found = str(error) if isinstance(error, NotCbor) else type(error).__name__
        raise _unsigned("a certificate and its signature over PCR0", found) from error


def _parts(section: bytes) -> tuple[bytes, bytes]:
    """Return certificate and envelope; further entries would be ones that nobody checks."""
    entries = read_cbor(section)
    if not isinstance(entries, list) or len(entries) != 1 or not isinstance(entries[0], dict):
        raise NotCbor("not one entry")
    if entries[0].keys() != {"signing_certificate", "signature"}:
        raise NotCbor("an entry with other fields")
    return _bytes(entries[0]["signing_certificate"]), _bytes(entries[0]["signature"])


def _bytes(numbers: object) -> bytes:
    """Return the bytes of an array of numbers; a single number would be a length to allocate."""
    if not isinstance(numbers, list):
        raise NotCbor("no array of numbers")
    return bytes(numbers)


def _check(envelope: bytes, key: object, pcr0: bytes) -> None:
    """Check that the key signed PCR0 under the one algorithm of its curve."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise NotCbor("a key of another kind")
    number, digest, width = ALGORITHMS[key.curve.name]
    parts = read_cbor(envelope)
    if not isinstance(parts, list) or len(parts) != PARTS or parts[1] != {}:
        raise NotCbor("not an untagged COSE_Sign1")
    protected, _, payload, signature = parts
    if read_cbor(protected) != {1: number} or len(signature) != 2 * width:
        raise NotCbor("a signature under another algorithm")
    r, s = int.from_bytes(signature[:width], "big"), int.from_bytes(signature[width:], "big")
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(digest))
    if read_cbor(payload) != {"register_index": 0, "register_value": list(pcr0)}:
        raise NotCbor("a signature over another PCR0")


def _unsigned(expected: str, found: str) -> CeremonyError:
    return image_error(
        "RF-IMAGE-002",
        "the signature in the image is not one of this image",
        expected,
        found,
        "sign the image again after it was built",
        effect="no machine starts this image",
    )
