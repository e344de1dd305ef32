"""INSECURE: attestation documents without an enclave, for sandboxes whose plan says so.

The documents have the format and the kind of certificates that AWS's have, and pass the same
verifier, but under a test root whose key lies in the sandbox's folder: whoever reads that folder
says of any software that it is any other. A plan allows them by the shortcut `software-enclave`,
which every operator signs, and which no plan outside a sandbox can have.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from infra.enclave.chain import SCALAR_BYTES
from infra.enclave.cose import Envelope
from infra.enclave.device import Register
from infra.enclave.document import DIGEST, DIGEST_BYTES
from infra.enclave.measurement import Measurement
from infra.enclave.refusals import attestation_error
from infra.files import PUBLIC_FILE, SECRET_FILE, make_directory, write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mpc_core.protocol.plan import Plan

__all__ = [
    "SOFTWARE_ENCLAVE",
    "Authority",
    "InsecureSoftwareModule",
    "check_software_allowed",
    "key_digest",
    "measure_installed",
    "scalar_of",
]

SOFTWARE_ENCLAVE = "software-enclave"
"""How a plan names the shortcut."""

KEY_FILE, ROOT_FILE = "insecure-root.key", "insecure-root.pem"
REGISTERS = 16
PACKAGES = ("mpc_core", "workflows", "activities", "infra")

_LEVELS = (("region", 20), ("zone", 6), ("instance", 1))
"""Certificates between root and leaf, and their days, as AWS has them."""

_LEAF_HOURS = 3
_ROOT_DAYS = 30 * 365
_MARGIN = dt.timedelta(minutes=5)


def check_software_allowed(plan: Plan) -> None:
    """Refuse software in the place of an enclave unless all signed that this is a sandbox.

    Raises:
        CeremonyError: RF-ATTEST-011.
    """
    if plan.sandbox and SOFTWARE_ENCLAVE in plan.insecure:
        return
    raise attestation_error(
        "RF-ATTEST-011",
        "the plan allows no software in the place of an enclave",
        f'sandbox = true and insecure = ["{SOFTWARE_ENCLAVE}"] in plan.toml',
        f"sandbox = {plan.sandbox}, insecure = {list(plan.insecure)}",
        "start this operator in an enclave",
        effect="nothing was started: such documents prove nothing",
    )


def key_digest(certificate: x509.Certificate) -> bytes:
    """Return SHA-256 of a certificate's public key (DER): how a plan names its test root."""
    key = certificate.public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()


def scalar_of(seed: bytes) -> int:
    """Return the private number of a test root that follows from 32 or more secret bytes."""
    digest = hashlib.sha384(b"ringforge/insecure-root/v1\0" + seed).digest()
    return int.from_bytes(digest) >> 1 | 1


def measure_installed() -> Measurement:
    """Return registers over the sources that this process runs, as an image's are over the image.

    Security: a process that measures itself can say anything; sandboxes and drills only.
    """
    root = Path(__file__).resolve().parents[2]
    tree = hashlib.sha384()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            tree.update(path.relative_to(root).as_posix().encode() + b"\0")
            tree.update(hashlib.sha384(path.read_bytes()).digest())
    parts = {0: b"image", 1: b"boot", 2: b"application", 8: b"signer"}
    return Measurement(
        {index: hashlib.sha384(part + tree.digest()).digest() for index, part in parts.items()}
    )


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate and its key: a test root, or what it certified."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, now: dt.datetime, scalar: int | None = None) -> Authority:
        """Make a test root, with the key of this private number if one is given."""
        curve = ec.SECP384R1()
        key = (
            ec.generate_private_key(curve)
            if scalar is None
            else ec.derive_private_key(scalar, curve)
        )
        life = dt.timedelta(days=_ROOT_DAYS)
        name = "insecure-software.test-root"
        certificate = _certificate(name, key, None, now, life, path_length=len(_LEVELS))
        return cls(certificate, key)

    def save(self, folder: Path) -> None:
        """Keep it in a folder of a sandbox.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
        """
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = self.certificate.public_bytes(Encoding.PEM)
        make_directory(folder)
        write_atomic(folder / KEY_FILE, pem, SECRET_FILE)
        write_atomic(folder / ROOT_FILE, public, PUBLIC_FILE)

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """Return the test root of a sandbox's folder.

        Raises:
            FileNotFoundError: if it holds none.
        """
        key = load_pem_private_key((folder / KEY_FILE).read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(x509.load_pem_x509_certificate((folder / ROOT_FILE).read_bytes()), key)

    def certify(
        self, name: str, now: dt.datetime, life: dt.timedelta, path_length: int | None
    ) -> Authority:
        """Return a new certificate below this one; a leaf has no path length."""
        key = ec.generate_private_key(ec.SECP384R1())
        return Authority(_certificate(name, key, self, now, life, path_length=path_length), key)


class InsecureSoftwareModule:
    """A security module that is a class: it signs whatever measurement it is given."""

    def __init__(
        self,
        plan: Plan,
        root: Authority,
        measurement: Measurement,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        """Stand in for the enclave of a sandbox's operator.

        Args:
            plan: the signed plan, which must allow it.
            root: the sandbox's test root.
            measurement: what the documents will say.
            now: the clock.

        Raises:
            CeremonyError: RF-ATTEST-011 if the plan allows none.
        """
        check_software_allowed(plan)
        self._measurement = measurement
        self._now = now
        self._root = root
        self._chain: tuple[Authority, ...] = ()

    def attest(
        self, *, user_data: bytes | None, nonce: bytes | None, public_key: bytes | None
    ) -> bytes:
        """Return a document with these fields, signed below the test root."""
        now = self._now()
        chain = self._chain_at(now)
        leaf = chain[-1]
        fields: Mapping[str, object] = {
            "module_id": "insecure-software",
            "digest": DIGEST,
            "timestamp": int(now.timestamp() * 1000),
            "pcrs": {index: self.describe(index).value for index in range(REGISTERS)},
            "certificate": leaf.certificate.public_bytes(Encoding.DER),
            "cabundle": [each.certificate.public_bytes(Encoding.DER) for each in chain[:-1]],
            "public_key": public_key,
            "user_data": user_data,
            "nonce": nonce,
        }
        return _signed(cbor2.dumps(fields), leaf.key)

    def describe(self, index: int) -> Register:
        """Return a register; all are locked."""
        return Register(self._measurement.pcrs.get(index, bytes(DIGEST_BYTES)), locked=True)

    def random(self, count: int) -> bytes:
        """Return random bytes of the operating system."""
        return secrets.token_bytes(count)

    def _chain_at(self, now: dt.datetime) -> tuple[Authority, ...]:
        """Return certificates from the root to a leaf that is valid for a while yet."""
        if not self._chain or self._chain[-1].certificate.not_valid_after_utc < now + _MARGIN:
            chain = [self._root]
            for depth, (name, days) in enumerate(_LEVELS, 1):
                life = dt.timedelta(days=days)
                above = chain[-1]
                chain.append(above.certify(name, now, life, len(_LEVELS) - depth))
            chain.append(chain[-1].certify("leaf", now, dt.timedelta(hours=_LEAF_HOURS), None))
            self._chain = tuple(chain)
        return self._chain


def _signed(payload: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    unsigned = Envelope(payload, bytes(2 * SCALAR_BYTES))
    r, s = decode_dss_signature(key.sign(unsigned.signed, ec.ECDSA(SHA384())))
    signature = r.to_bytes(SCALAR_BYTES, "big") + s.to_bytes(SCALAR_BYTES, "big")
    return Envelope(payload, signature).encoded


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: Authority | None,
    now: dt.datetime,
    life: dt.timedelta,
    *,
    path_length: int | None,
) -> x509.Certificate:
    """Return a certificate with the extensions of AWS's; without path length it is a leaf's."""
    public = key.public_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    is_ca = path_length is not None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _MARGIN)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(is_ca, path_length), critical=True)
        .add_extension(_usage(is_ca=is_ca), critical=is_ca)
    )
    if is_ca:
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(public), critical=False
        )
        above = issuer.key.public_key() if issuer else public
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(above), critical=False
        )
    return builder.sign(issuer.key if issuer else key, SHA384())


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=not is_ca,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
