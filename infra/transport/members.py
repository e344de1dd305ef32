"""Who may speak in a ceremony, and how a certificate shows which member it belongs to.

Whoever verifies builds for each plan identity it accepts an *anchor*: a CA certificate with the
member's name and the plan's key, signed by a key that is forgotten at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from infra.transport.refusal import foreign_certificate, missing_certificate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpc_core.protocol.plan import Plan

__all__ = ["ALWAYS", "UNREADABLE", "Members", "common_name", "key_usage", "named"]

ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises at a certificate that it cannot read."""


@dataclass(frozen=True, slots=True)
class Members:
    """Who may speak: the names of a ceremony with their raw Ed25519 identity keys."""

    ceremony_id: str
    keys: Mapping[str, bytes]
    anchors: Mapping[str, x509.Certificate] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        anchors = {name: _anchor(name, key) for name, key in self.keys.items()}
        object.__setattr__(self, "anchors", anchors)

    @classmethod
    def of_plan(cls, plan: Plan) -> Members:
        """Return the operators of a plan, its coordinator, and the deputies of that."""
        keys = {operator.name: operator.identity_key for operator in plan.operators}
        return cls(plan.ceremony_id, keys | plan.hosts)

    def host_name(self, name: str) -> str:
        """Return the name that a member's certificate carries: valid in this ceremony only."""
        return f"{name}.{self.ceremony_id}.ringforge"

    def identify(self, certificate: bytes | None) -> str:
        """Return which member a peer's DER certificate belongs to.

        Raises:
            CeremonyError: RF-PEER-005 without a certificate, RF-PEER-001 if it cannot be read or
                no member signed it, RF-PEER-003 if it is one of another ceremony or in another
                member's name.

        Security: the leaf's signature is checked here once more, against the key of the plan, so
            the name cannot come from anything but a certificate which that key signed.
        """
        if certificate is None:
            raise missing_certificate()
        leaf, name, found_names = _read(certificate)
        if name not in self.anchors:
            raise foreign_certificate("RF-PEER-001", name, found="an issuer the plan does not name")
        try:
            leaf.verify_directly_issued_by(self.anchors[name])
        except (InvalidSignature, *UNREADABLE) as error:
            found = "a certificate signed by another key"
            raise foreign_certificate("RF-PEER-001", name, found=found) from error
        if found_names != [self.host_name(name)]:
            raise foreign_certificate("RF-PEER-003", name, found=", ".join(found_names))
        return name


def _read(certificate: bytes) -> tuple[x509.Certificate, str, list[str]]:
    """Return a DER certificate with its issuer's name and the host names that it is for.

    Raises:
        CeremonyError: RF-PEER-001 if it cannot be read: OpenSSL takes some that we do not.
    """
    try:
        leaf = x509.load_der_x509_certificate(certificate)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return leaf, common_name(leaf.issuer), names.get_values_for_type(x509.DNSName)
    except UNREADABLE as error:
        found = "a certificate that cannot be read"
        raise foreign_certificate("RF-PEER-001", "", found=found) from error


def _anchor(name: str, key: bytes) -> x509.Certificate:
    """Return a CA certificate for a plan identity; nobody ever verifies its own signature."""
    not_before, not_after = ALWAYS
    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named("ringforge anchor"))
        .public_key(Ed25519PublicKey.from_public_bytes(key))
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(key_cert_sign=True), critical=True)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )


def named(text: str) -> x509.Name:
    """Return a name that is this one text."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def common_name(name: x509.Name) -> str:
    """Return the text of a name, "" if it is another kind of name."""
    values = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(values[0].value) if len(values) == 1 else ""


def key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    """Return what the key of a certificate may be used for."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
