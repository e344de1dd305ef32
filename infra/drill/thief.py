"""A thief of a certificate: it shows that of another operator, and lacks the key behind it.

Certificates are no secrets: whoever calls an operator is shown its certificate, with the
attestation document in it. So the thief of a drill calls its victim, whose address is on the log,
and shows to everybody else what it saw there. All that this certificate says is true; only the
handshake tells.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING, Any

from asn1crypto import keys
from asn1crypto.pem import armor
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from infra.board import wire
from infra.board.copy import stored_in
from infra.drill.false_enclaves import FALSE_ENCLAVES
from infra.enclave.insecure_software import check_software_allowed
from infra.transport.tls import Identity
from mpc_core.protocol.entries import Address

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from infra.homes import Home
    from mpc_core.protocol.plan import Plan

__all__ = ["LIES_OF_ENCLAVES", "STOLEN_CERTIFICATE", "Thief", "insecurely_made", "victim_of"]

STOLEN_CERTIFICATE = "stolen-certificate"
"""The lie of who shows another operator's certificate."""

LIES_OF_ENCLAVES = (*FALSE_ENCLAVES, STOLEN_CERTIFICATE)
"""What the process of a lying operator tells about its enclave, or about whose it is."""

_SECONDS = 30.0
_CURVE = "secp256r1"


class Thief(Identity):
    """Shows a certificate that it has seen, with a key of its own behind it."""

    def __init__(self, *arguments: Any, stolen: bytes, **options: Any) -> None:
        """Remember what was stolen.

        Args:
            arguments: of an honest identity.
            stolen: the certificate, as PEM.
            options: of an honest identity.
        """
        super().__init__(*arguments, **options)
        self._stolen = x509.load_pem_x509_certificate(stolen)

    def issue(self) -> tuple[bytes, bytes, datetime]:
        """Return the stolen certificate with a key that is not its own, and when to renew."""
        _, _, renew_at = super().issue()
        return self._stolen.public_bytes(Encoding.PEM) + _key_that_fits(self._stolen), b"", renew_at


def insecurely_made(home: Home, plan: Plan) -> Callable[..., Identity]:
    """Return what makes the identity of a lying operator's process: a thief, or an honest one.

    Raises:
        CeremonyError: RF-ATTEST-011 if the plan is no sandbox's without enclaves.
    """
    if home.insecure_lie != STOLEN_CERTIFICATE:
        return Identity
    check_software_allowed(plan)
    address = _address_of(home, plan, victim_of(plan, home.name))
    seen = ssl.get_server_certificate((address.host, address.port), timeout=_SECONDS)
    return partial(Thief, stolen=seen.encode())


def victim_of(plan: Plan, thief: str) -> str:
    """Return whose certificate the thief of a drill shows: that of the operator before it."""
    names = [each.name for each in plan.operators]
    return names[names.index(thief) - 1]


def _address_of(home: Home, plan: Plan, victim: str) -> Address:
    """Return where the victim serves, as the log says that the drill put into the thief's home."""
    index = plan.index_of(victim)
    signed = (wire.decode(data, plan) for data in stored_in(home.log_copy.read_bytes()).entries)
    posted = [each.entry for each in signed if each.signers == (index,)]
    return max((each for each in posted if isinstance(each, Address)), key=lambda each: each.serial)


def _key_that_fits(leaf: x509.Certificate) -> bytes:
    """Return a fresh private key, as PEM, beside which the certificate's public key stands.

    OpenSSL compares public keys only, so it does not notice before the handshake does.
    """
    point = leaf.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    own = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    key = keys.ECPrivateKey(  # type: ignore[no-untyped-call]  # asn1crypto has no types
        {
            "version": 1,
            "private_key": own,
            "parameters": keys.ECDomainParameters(name="named", value=_CURVE),  # type: ignore[no-untyped-call]
            "public_key": keys.ECPointBitString(point),  # type: ignore[no-untyped-call]
        }
    )
    info = keys.PrivateKeyInfo.wrap(key, "ec").dump()  # type: ignore[no-untyped-call]
    pem: bytes = armor("PRIVATE KEY", info)  # type: ignore[no-untyped-call]
    return pem
