"""Attestation documents under roots of the tests' own, right ones and ones wrong in one thing."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib

import cbor2
from asn1crypto.x509 import Certificate as PlainCertificate
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from infra.enclave.measurement import Measurement

NOW = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)
P384 = (1 << 384) - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D
"""The order of the group of P-384."""

MEASURED = {index: hashlib.sha384(b"register %d" % index).digest() for index in (0, 1, 2, 3, 4, 8)}
APPROVED = Measurement({index: MEASURED[index] for index in (0, 1, 2, 8)})


@dataclasses.dataclass(frozen=True)
class Link:
    """One certificate of a chain, by what can be wrong with it."""

    name: str
    life: dt.timedelta
    path_length: int | None = None
    ca: bool = True
    cert_sign: bool = True
    digital_signature: bool = False
    starts: dt.timedelta = dt.timedelta()
    curve: ec.EllipticCurve = dataclasses.field(default_factory=ec.SECP384R1)
    digest: SHA256 | SHA384 = dataclasses.field(default_factory=SHA384)
    basic_constraints: bool = True
    key_usage: bool = True


ROOT = Link("root", dt.timedelta(days=10_950))
REGION = Link("region", dt.timedelta(days=20), 2)
ZONE = Link("zone", dt.timedelta(days=6), 1)
INSTANCE = Link("instance", dt.timedelta(days=1), 0)
LEAF = Link("leaf", dt.timedelta(hours=3), None, ca=False, cert_sign=False, digital_signature=True)
LINKS = (ROOT, REGION, ZONE, INSTANCE, LEAF)


@dataclasses.dataclass(frozen=True)
class Certified:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self):
        return self.certificate.public_bytes(Encoding.DER)


def chain(*links, root=None):
    """Return certificates, each signed by the one before it."""
    made = [root] if root else []
    for link in links[len(made) :]:
        made.append(certify(link, made[-1] if made else None))
    return made


def certify(link, above):
    key = ec.generate_private_key(link.curve)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, link.name)])
    start = NOW - dt.timedelta(minutes=30) + link.starts
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(above.certificate.subject if above else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + link.life)
    )
    if link.basic_constraints:
        constraints = x509.BasicConstraints(link.ca, link.path_length)
        builder = builder.add_extension(constraints, critical=True)
    if link.key_usage:
        usage = x509.KeyUsage(
            digital_signature=link.digital_signature,
            content_commitment=not link.ca,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=link.cert_sign,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=link.ca)
    if link.ca:
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(own, critical=False)
    if link.ca and above:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(above.key.public_key())
        builder = builder.add_extension(issuer, critical=False)
    return Certified(builder.sign(above.key if above else key, link.digest), key)


def renumbered(which, above, serial):
    """Return the DER of a certificate with another serial number, signed anew by the one above."""
    plain = PlainCertificate.load(which.der)
    plain["tbs_certificate"]["serial_number"] = serial
    to_sign = plain["tbs_certificate"].dump(force=True)
    plain["signature_value"] = above.key.sign(to_sign, ec.ECDSA(SHA384()))
    return plain.dump(force=True)


def fields(certificates, **changes):
    """Return the fields of a payload; a change to None leaves one out."""
    made = {
        "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
        "digest": "SHA384",
        "timestamp": int(NOW.timestamp() * 1000),
        "pcrs": {index: MEASURED.get(index, bytes(48)) for index in range(16)},
        "certificate": certificates[-1].der,
        "cabundle": [each.der for each in certificates[:-1]],
        "public_key": b"a key in DER",
        "user_data": b"u" * 32,
        "nonce": b"n" * 20,
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def signed(payload, key, protected=b"\xa1\x01\x38\x22", unprotected=None):
    """Return a COSE_Sign1 over the bytes of a payload."""
    to_sign = cbor2.dumps(["Signature1", protected, b"", payload])
    r, s = decode_dss_signature(key.sign(to_sign, ec.ECDSA(SHA384())))
    signature = r.to_bytes(48, "big") + s.to_bytes(48, "big")
    return cbor2.dumps([protected, unprotected or {}, payload, signature])


def document(certificates, **changes):
    return signed(cbor2.dumps(fields(certificates, **changes)), certificates[-1].key)


def without_length(plain):
    """Return the encoding of a map as one without a length, as newer security modules write it."""
    pairs = b"".join(cbor2.dumps(name) + cbor2.dumps(value) for name, value in plain.items())
    return b"\xbf" + pairs + b"\xff"
