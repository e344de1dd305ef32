"""The line of an operator in an enclave to the Temporal server: whom it believes, and who it is.

Its parent hands it the address, carries the line and holds the plan, from which the key of what
crosses Temporal follows. So authority, address and certificate count as who speaks for the operator
signed them, and the private key follows from the identity, which never leaves the enclave (ADR "An
enclave's line to Temporal"). The request for a certificate carries a signature of that identity:
a parent that puts one of its own in the bucket gets no certificate from people who look.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from temporalio.service import TLSConfig

from infra.party.instructions import TemporalLine, read_instruction
from infra.temporal.client import NAMESPACE
from infra.transport.members import UNREADABLE
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
    from temporalio.envconfig import ClientConnectConfig

    from infra.homes import Home
    from mpc_core.protocol.plan import Plan

__all__ = [
    "checked_line",
    "checked_request",
    "client_key",
    "line_of",
    "signed_request",
]

KEY_DOMAIN = b"ringforge/temporal-client/v1\0"
REQUEST_DOMAIN = b"ringforge/temporal-request/v1\0"
SIGNED_BY = b"identity-signature: "
CURVE = ec.SECP256R1()
"""What every authority signs."""

KEY_BYTES = 48
"""Sixteen more than the curve's order has, so that the remainder is as good as uniform."""


def client_key(identity: Ed25519PrivateKey) -> ec.EllipticCurvePrivateKey:
    """Return the key of an operator's client certificate: always the same for one identity."""
    seed = identity.private_bytes_raw()
    drawn = HKDF(SHA256(), KEY_BYTES, None, KEY_DOMAIN).derive(seed)
    return ec.derive_private_key(1 + int.from_bytes(drawn) % (CURVE.group_order - 1), CURVE)


def signed_request(identity: Ed25519PrivateKey, operator: str) -> bytes:
    """Return the request for an operator's client certificate: PEM, and a line that signs it.

    Programs that read PEM pass over that line.
    """
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, operator)])
    key = client_key(identity)
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256())
    return _as_text(request, identity.sign(_request_message(request)))


def checked_request(data: bytes, identity_key: bytes) -> x509.CertificateSigningRequest:
    """Return the request that an operator's enclave made.

    Args:
        data: what lay in its bucket.
        identity_key: its public identity key, as on its card and in its plan.

    Raises:
        CeremonyError: RF-TEMP-011 if this identity did not sign it.
    """
    pem, _, signature = data.partition(SIGNED_BY)
    try:
        request = x509.load_pem_x509_csr(pem)
        given = base64.b64decode(signature)
        Ed25519PublicKey.from_public_bytes(identity_key).verify(given, _request_message(request))
    except (*UNREADABLE, InvalidSignature) as error:
        raise _not_its_own("a request that this identity did not sign") from error
    if data != _as_text(request, given):
        raise _not_its_own("a request with something around it")
    return request


def checked_line(line: TemporalLine, key: CertificatePublicKeyTypes | None) -> TemporalLine:
    """Return the line if its certificates are some.

    Args:
        line: what is to be signed, or what was.
        key: public key that the operator's certificate must have; None if it is to have none.

    Raises:
        CeremonyError: RF-TEMP-011 if there is no authority, or the certificate is of another key.
    """
    try:
        authorities = x509.load_pem_x509_certificates(line.authority)
        own = x509.load_pem_x509_certificates(line.certificate) if line.certificate else []
        keys = [each.public_key() for each in own]
    except UNREADABLE as error:
        raise _not_its_own("files that are no certificates in PEM") from error
    if not authorities:
        raise _not_its_own("no authority")
    if bool(keys) != (key is not None) or (key is not None and keys[0] != key):
        raise _not_its_own("a certificate of another key")
    return line


def line_of(
    home: Home, plan: Plan, identity: Ed25519PrivateKey, address: str
) -> ClientConnectConfig | None:
    """Return how an operator's process connects to Temporal; None if the settings count.

    Args:
        home: holds what the launch document said, if there was one.
        plan: the signed plan.
        identity: the operator's identity key.
        address: where the parent, or its people, say that the server is.

    Raises:
        CeremonyError: RF-TEMP-010 if the plan asks for enclaves, is no sandbox's, and nothing says
            whom this one is to believe, or another address; RF-GOVERN-011 or RF-TEMP-011 if what
            says so does not count.
    """
    try:
        data = home.temporal_line.read_bytes()
    except FileNotFoundError:
        if plan.attestation is None or plan.sandbox:
            return None
        raise _no_line(address, "none", home.name) from None
    line = read_instruction(TemporalLine, data, plan, plan.index_of(home.name))
    key = client_key(identity) if line.certificate else None
    checked_line(line, None if key is None else key.public_key())
    if line.address != address:
        raise _no_line(address, f"one to {line.address}", home.name)
    tls = TLSConfig(
        server_root_ca_cert=line.authority,
        domain=line.server_name or None,
        client_cert=line.certificate or None,
        client_private_key=None if key is None else _pem(key),
    )
    return {"target_host": address, "namespace": line.namespace or NAMESPACE, "tls": tls}


def _request_message(request: x509.CertificateSigningRequest) -> bytes:
    return REQUEST_DOMAIN + request.public_bytes(Encoding.DER)


def _as_text(request: x509.CertificateSigningRequest, signature: bytes) -> bytes:
    """Return the one form in which a request is handed around."""
    return request.public_bytes(Encoding.PEM) + SIGNED_BY + base64.b64encode(signature) + b"\n"


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _no_line(address: str, found: str, operator: str) -> CeremonyError:
    return CeremonyError(
        "RF-TEMP-010",
        f"nothing says how the enclave of {operator} knows the Temporal server at {address}",
        expected="temporal_line in the launch document, for this address",
        found=found,
        effect="the operator does not start: its parent could read along, or answer itself",
        next_step="have its representative sign one with ringforge operator temporal-line",
        runbook="temporal-unreachable",
        operator=operator,
    )


def _not_its_own(found: str) -> CeremonyError:
    return CeremonyError(
        "RF-TEMP-011",
        "this is no line of an operator's enclave to Temporal",
        expected="an authority, and a certificate for the key that the enclave asked one for",
        found=found,
        effect="nothing was signed and nothing is called",
        next_step="compare request and certificate; if the request is false, revoke what it got",
        runbook="temporal-unreachable",
    )
