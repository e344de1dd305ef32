"""The certificate path of a document, from the pinned root to the key that signed.

Path validation is `cryptography`'s (RFC 5280), at the time of the document: leaves live for three
hours. The leaf has neither subject alternative name nor authority key identifier, so it is judged
by its key usage alone; the certificates above it follow the rules of the web for CAs.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from asn1crypto.x509 import Certificate as PlainCertificate
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP384R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from infra.enclave.refusals import attestation_error

if TYPE_CHECKING:
    import datetime as dt

    from cryptography.x509.verification import Policy

    from infra.enclave.cose import Envelope
    from mpc_core.protocol.errors import CeremonyError

__all__ = ["aws_root", "check_signature", "signing_key"]

ROOT_FILE = Path(__file__).with_name("aws-nitro-root.pem")
ROOT_SHA256 = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
"""SHA-256 of the DER of AWS's root, as AWS publishes it."""

SCALAR_BYTES = 48

_LIBRARY_REFUSES = (
    VerificationError,
    TypeError,
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@cache
def aws_root() -> x509.Certificate:
    """Return the root of all documents of AWS Nitro enclaves."""
    root = x509.load_pem_x509_certificate(ROOT_FILE.read_bytes())
    assert hashlib.sha256(root.public_bytes(Encoding.DER)).hexdigest() == ROOT_SHA256
    return root


def signing_key(
    leaf: bytes, bundle: tuple[bytes, ...], root: x509.Certificate, time: dt.datetime
) -> EllipticCurvePublicKey:
    """Return the key of a leaf whose path to the root was valid at a time.

    Args:
        leaf: DER of the certificate that signed a document.
        bundle: DER of the certificates above it, the root first.
        root: the only certificate that is trusted.
        time: when the document was signed.

    Raises:
        CeremonyError: RF-ATTEST-002 if there is no such path, or certificates beside it.

    Security: the time is the document's own word, which its signature covers. Whoever has the key
        of an expired leaf can backdate a document; a nonce and a maximal age stop that.
    """
    if bundle[0] != root.public_bytes(Encoding.DER):
        raise _refused("the pinned root as first certificate", "another first certificate")
    try:
        path = [_read(each) for each in (leaf, *bundle[:0:-1])]
        verifier = (
            PolicyBuilder()
            .store(Store([root]))
            .time(time)
            .extension_policies(
                ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=_leaf_policy()
            )
            .build_client_verifier()
        )
        found = verifier.verify(path[0], path[1:]).chain
        keys = [certificate.public_key() for certificate in path]
    except _LIBRARY_REFUSES as error:
        raise _refused(f"a path that is valid at {time.isoformat()}", _reason(error)) from error
    if found != [*path, root]:
        raise _refused("a path through every certificate, in their order", "another path")
    for certificate, key in zip(path, keys, strict=True):
        # The library passes over this byte, which no signature covers: how many bits are unused.
        if certificate.public_bytes(Encoding.DER)[-len(certificate.signature) - 1]:
            raise _refused("signatures of whole bytes", "unused bits in one")
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP384R1):
            raise _refused("keys on P-384", "another key")
        if not isinstance(certificate.signature_hash_algorithm, SHA384):
            raise _refused("certificates signed with SHA-384", "another digest")
    key = keys[0]
    assert isinstance(key, EllipticCurvePublicKey)
    return key


def check_signature(envelope: Envelope, key: EllipticCurvePublicKey) -> None:
    """Check the signature of an envelope.

    Raises:
        CeremonyError: RF-ATTEST-003 if it is not by this key over this payload.

    Security: both (r, s) and (r, n - s) are signatures of the same payload, and AWS uses both
        halves, so neither is refused: nothing may depend on the bytes of a signature.
    """
    r, s = (
        int.from_bytes(part, "big")
        for part in (envelope.signature[:SCALAR_BYTES], envelope.signature[SCALAR_BYTES:])
    )
    try:
        key.verify(encode_dss_signature(r, s), envelope.signed, ECDSA(SHA384()))
    except InvalidSignature as error:
        raise attestation_error(
            "RF-ATTEST-003",
            "the signature of the attestation document is not valid",
            "an ES384 signature by the certificate in the document",
            "a signature that does not match",
            "ask the enclave for a new document; this one was changed on its way",
        ) from error


def _read(der: bytes) -> x509.Certificate:
    """Return a certificate whose serial number is positive (RFC 5280, 4.1.2.2).

    Versions of the library differ in what they do about another one: warn, or refuse.

    Raises:
        ValueError, TypeError: if it is none; as the library.
    """
    plain = PlainCertificate.load(der, strict=True)  # type: ignore[no-untyped-call]  # no types
    if plain.serial_number <= 0:
        raise ValueError("a serial number that is not positive")
    return x509.load_der_x509_certificate(der)


def _leaf_policy() -> ExtensionPolicy:
    return (
        ExtensionPolicy.permit_all()
        .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_no_ca)
        .require_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign_documents)
    )


def _is_no_ca(_: Policy, __: x509.Certificate, extension: x509.BasicConstraints | None) -> None:
    if extension is not None and extension.ca:
        raise ValueError("the leaf is a CA")


def _may_sign_documents(_: Policy, __: x509.Certificate, usage: x509.KeyUsage) -> None:
    if not usage.digital_signature or usage.key_cert_sign:
        raise ValueError("the leaf is not for signatures")


def _reason(error: Exception) -> str:
    """Return the first line of what the library says."""
    return str(error).partition("\n")[0][:200] or type(error).__name__


def _refused(expected: str, found: str) -> CeremonyError:
    return attestation_error(
        "RF-ATTEST-002",
        "the certificates of the attestation document do not lead to the pinned root",
        expected,
        found,
        "see whether the enclave runs on real hardware and its clock is right, then ask again",
    )
