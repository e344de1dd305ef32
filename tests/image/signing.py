"""Signatures in images, right ones and ones wrong in one thing."""

from __future__ import annotations

import datetime as dt

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from infra.image.registers import measure
from tests.image.images import CONTENTS, SIGNATURE, image

CURVES = {
    "secp256r1": (ec.SECP256R1(), -7, SHA256(), 32),
    "secp384r1": (ec.SECP384R1(), -35, SHA384(), 48),
    "secp521r1": (ec.SECP521R1(), -36, SHA512(), 66),
}
PCR0 = measure(memoryview(image())).pcrs[0]
ENDS = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


def certificate_of(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Release team")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(ENDS)
        .sign(key, SHA256())
    )


def entry(
    *,
    curve="secp384r1",
    pcr0=PCR0,
    index=0,
    algorithm=None,
    unprotected=None,
    other_key=False,
    pem=None,
    value=None,
):
    """Return the one entry of a signature section; each keyword makes it another one."""
    shape, number, digest, width = CURVES[curve]
    key = ec.generate_private_key(shape)
    signer = ec.generate_private_key(shape) if other_key else key
    protected = cbor2.dumps({1: algorithm or number})
    shown = list(pcr0) if value is None else value
    payload = cbor2.dumps({"register_index": index, "register_value": shown})
    r, s = decode_dss_signature(
        signer.sign(cbor2.dumps(["Signature1", protected, b"", payload]), ec.ECDSA(digest))
    )
    pair = r.to_bytes(width, "big") + s.to_bytes(width, "big")
    envelope = cbor2.dumps([protected, unprotected or {}, payload, pair])
    shown_pem = certificate_of(key).public_bytes(Encoding.PEM) if pem is None else pem
    return {"signing_certificate": list(shown_pem), "signature": list(envelope)}


def section(*entries):
    """Return the data of a signature section."""
    return cbor2.dumps(list(entries))


def signed_image(data):
    """Return the image with this signature section."""
    return image((*CONTENTS, (SIGNATURE, data)))
