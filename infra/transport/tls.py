"""Mutual TLS 1.3 in which the only authorities are the identity keys of the plan.

Each member signs, with the Ed25519 identity key that the plan names, a short-lived certificate for
a throw-away TLS key. The anchors of the members (`infra.transport.members`) are the only trust
store, and a chain may end at one of them, so OpenSSL itself checks that the peer's certificate was
signed by the pinned key. No certificate is stored or exchanged. Where the plan asks for enclaves,
the certificate carries an attestation document, which is judged right after the handshake
(`infra.transport.attestation`).

Security: a client trusts the anchor of the one peer it calls, a server the anchors of all members;
which one called follows from the verified leaf, whose signature is checked again against that
member's anchor. The signed bytes are DER and start with 0x30, so no certificate passes for a log
entry or an order. The refusing side reports the reason; the other sees a closed connection.
"""

from __future__ import annotations

import secrets
import ssl
import threading
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from infra.transport.members import Members, key_usage, named
from infra.transport.pinned import (
    AttestedConnection,
    PinnedContext,
    PinnedSocket,
    ReportingConnection,
)
from infra.transport.refusal import SparingLog, missing_certificate
from mpc_core.protocol.plan import COORDINATOR

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.transport.attestation import Attestation
    from mpc_core.protocol.errors import CeremonyError

__all__ = ["COORDINATOR", "Identity", "Members", "PinnedContext", "PinnedSocket"]

_LIFE = timedelta(days=7)
_SKEW = timedelta(days=1)
_PASSPHRASE_BYTES = 32


class Identity:
    """A member's own side of every connection: contexts that pin peers and renew their leaf."""

    def __init__(
        self,
        name: str,
        key: Ed25519PrivateKey,
        members: Members,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        refused: Callable[[CeremonyError], None] | None = None,
        attestation: Attestation | None = None,
    ) -> None:
        """Remember who this process is.

        Args:
            name: this member's name.
            key: its identity key, the private half of `members.keys[name]`.
            members: all members of the ceremony.
            clock: the time from which the leaf's validity counts.
            refused: called with each refusal of a peer, after it has been logged.
            attestation: what enclaves prove to each other; None where the plan asks for none.
        """
        self.name = name
        self.members = members
        self._key = key
        self._clock = clock
        self.refused = refused
        self.attestation = attestation
        self._issuing = threading.Lock()
        self._leaf: tuple[bytes, bytes, datetime] | None = None
        self._sparing = SparingLog()
        self._identify = lru_cache(maxsize=4 * len(members.keys))(members.identify)

    def server_context(self) -> ssl.SSLContext:
        """Return a context for a server that all members may call."""
        context = PinnedContext(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 0
        return self._pin(context, tuple(self.members.keys), peer="")

    def client_context(self, peer: str) -> PinnedContext:
        """Return a context that trusts this peer only."""
        context = PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = True
        return self._pin(context, (peer,), peer=peer)

    def caller(self, transport: asyncio.BaseTransport | None) -> str:
        """Return which member is at the other end of a server's connection.

        Raises:
            CeremonyError: RF-PEER-001, -003 or -005, as `Members.identify`; RF-ATTEST-*, as
                `Attestation.admit`.
        """
        connection = None if transport is None else transport.get_extra_info("ssl_object")
        if connection is None:
            raise missing_certificate()
        certificate = connection.getpeercert(binary_form=True)
        name = self._identify(certificate)
        if self.attestation is not None:
            connection.admitted(self.attestation.admit(name, certificate))
        return name

    def _pin(
        self, context: PinnedContext, accepted: tuple[str, ...], *, peer: str
    ) -> PinnedContext:
        anchors = (self.members.anchors[name] for name in accepted)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(
            cadata=b"".join(anchor.public_bytes(Encoding.DER) for anchor in anchors)
        )
        attested = self.attestation is not None
        context.sslobject_class = AttestedConnection if attested else ReportingConnection
        context.sslsocket_class = PinnedSocket
        context.peer = peer
        context.owner = self
        context.renewing = threading.Lock()
        context.renew_if_due()
        return context

    def report(self, error: CeremonyError) -> None:
        """Log why a peer was refused: it sees only a closed connection."""
        self._sparing.tell(error)
        if self.refused is not None:
            self.refused(error)

    def leaf(self) -> tuple[bytes, bytes, datetime]:
        """Return the leaf to show: a new one for each context, but one for a whole enclave."""
        if self.attestation is None:
            return self.issue()
        with self._issuing:
            if self._leaf is None or self._clock() >= self._leaf[2]:
                self._leaf = self.issue()
            return self._leaf

    def issue(self) -> tuple[bytes, bytes, datetime]:
        """Return a new leaf with its encrypted key as PEM, the passphrase, and when to renew.

        Raises:
            CeremonyError: RF-ATTEST-010 if the security module of the enclave refuses.
        """
        now, life = self._clock(), _LIFE
        tls_key = ec.generate_private_key(ec.SECP256R1())
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        names = [x509.DNSName(self.members.host_name(self.name))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(self.name))
            .issuer_name(named(self.name))
            .public_key(tls_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + _LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        if self.attestation is not None:
            life = min(_LIFE, self.attestation.maximal_age)
            spki = tls_key.public_key().public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo
            )
            document = self.attestation.extension(spki)
            builder = builder.add_extension(document, critical=False) if document else builder
        leaf = builder.sign(self._key, None)
        passphrase = secrets.token_hex(_PASSPHRASE_BYTES).encode()
        pem = leaf.public_bytes(Encoding.PEM) + tls_key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase)
        )
        return pem, passphrase, now + life / 2

    def now(self) -> datetime:
        """Return the time by this member's clock."""
        return self._clock()
