"""Mutual TLS 1.3 in which the only authorities are the identity keys of the plan.

Each member signs, with the Ed25519 identity key that the plan names, a short-lived certificate for
a throw-away TLS key. Whoever verifies builds for each plan identity it accepts an *anchor*: a CA
certificate with the member's name and the plan's key, signed by a key that is forgotten at once.
The anchors are the only trust store, and a chain may end at one of them, so OpenSSL itself checks
that the peer's certificate was signed by the pinned key. No certificate is stored or exchanged.

Security: a client trusts the anchor of the one peer it calls, a server the anchors of all members;
which one called follows from the verified leaf, whose signature is checked again against that
member's anchor. The signed bytes are DER and start with 0x30, so no certificate passes for a log
entry or an order. The refusing side reports the reason; the other sees a closed connection.
"""

from __future__ import annotations

import math
import secrets
import ssl
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.transport.refusal import SparingLog, foreign_certificate, missing_certificate, refusal
from mpc_core.protocol.plan import COORDINATOR

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Mapping

    from _typeshed import WriteableBuffer

    from mpc_core.protocol.errors import CeremonyError
    from mpc_core.protocol.plan import Plan

__all__ = ["COORDINATOR", "Identity", "Members", "PinnedContext", "PinnedSocket"]

_LIFE = timedelta(days=7)
_SKEW = timedelta(days=1)
_ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))
_PASSPHRASE_BYTES = 32
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


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
        except (InvalidSignature, *_UNREADABLE) as error:
            found = "a certificate signed by another key"
            raise foreign_certificate("RF-PEER-001", name, found=found) from error
        if found_names != [self.host_name(name)]:
            raise foreign_certificate("RF-PEER-003", name, found=", ".join(found_names))
        return name


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
    ) -> None:
        """Remember who this process is.

        Args:
            name: this member's name.
            key: its identity key, the private half of `members.keys[name]`.
            members: all members of the ceremony.
            clock: the time from which the leaf's validity counts.
            refused: called with each refusal of a peer, after it has been logged.
        """
        self.name = name
        self.members = members
        self._key = key
        self._clock = clock
        self._refused = refused
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
            CeremonyError: RF-PEER-001, -003 or -005, as `Members.identify`.
        """
        connection = None if transport is None else transport.get_extra_info("ssl_object")
        if connection is None:
            raise missing_certificate()
        return self._identify(connection.getpeercert(binary_form=True))

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
        context.sslobject_class = _ReportingConnection
        context.sslsocket_class = PinnedSocket
        context.peer = peer
        context.owner = self
        context.renewing = threading.Lock()
        context.renew_if_due()
        return context

    def report(self, error: CeremonyError) -> None:
        """Log why a peer was refused: it sees only a closed connection."""
        self._sparing.tell(error)
        if self._refused is not None:
            self._refused(error)

    def issue(self) -> tuple[bytes, bytes, datetime]:
        """Return a new leaf with its encrypted key as PEM, the passphrase, and when to renew."""
        now = self._clock()
        tls_key = ec.generate_private_key(ec.SECP256R1())
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        names = [x509.DNSName(self.members.host_name(self.name))]
        leaf = (
            x509.CertificateBuilder()
            .subject_name(_name(self.name))
            .issuer_name(_name(self.name))
            .public_key(tls_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + _LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, None)
        )
        passphrase = secrets.token_hex(_PASSPHRASE_BYTES).encode()
        pem = leaf.public_bytes(Encoding.PEM) + tls_key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase)
        )
        return pem, passphrase, now + _LIFE / 2

    def now(self) -> datetime:
        """Return the time by this member's clock."""
        return self._clock()


class PinnedContext(ssl.SSLContext):
    """A context that knows whom it is for and renews its leaf before it expires."""

    owner: Identity
    peer: str
    renew_at: datetime = _ALWAYS[0]
    renewing: threading.Lock

    def renew_if_due(self) -> None:
        """Load a new leaf once half the life of the present one is over."""
        if self.owner.now() < self.renew_at:
            return
        pem, passphrase, self.renew_at = self.owner.issue()
        # The ssl module reads keys from files only; the passphrase never leaves this process.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(pem)
            file.flush()
            self.load_cert_chain(file.name, password=passphrase)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Start a connection with a leaf that is valid for days to come."""
        with self.renewing:
            self.renew_if_due()
            return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def call(self, connected: socket.socket) -> PinnedSocket:
        """Shake hands with the peer of this context over a connected blocking socket.

        Raises:
            CeremonyError: RF-PEER-*, as `refusal`, when the peer is not who it should be.
            OSError: when the connection gets lost or the socket's timeout passes.
        """
        host_name = self.owner.members.host_name(self.peer)
        with self.renewing:
            self.renew_if_due()
            wrapped = self.wrap_socket(
                connected, server_hostname=host_name, do_handshake_on_connect=False
            )
        assert isinstance(wrapped, PinnedSocket)
        try:
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    def refused(self, error: ssl.SSLError) -> CeremonyError:
        """Return and report what a failed handshake means."""
        meaning = refusal(error, peer=self.peer)
        self.owner.report(meaning)
        return meaning


class _ReportingConnection(ssl.SSLObject):
    """A connection that says why its handshake failed; asyncio would drop the reason."""

    def do_handshake(self) -> None:
        """Go on with the handshake; report a refusal before it is raised."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            context = self.context
            assert isinstance(context, PinnedContext)
            context.refused(error)
            raise


class PinnedSocket(ssl.SSLSocket):
    """A blocking connection that says why its handshake failed, and that knows a last moment.

    Who reads through a buffer would lose what arrived just before an error. So an error while
    something is received looks like the end of the stream, and stays in `trouble`.

    Attributes:
        until: monotonic time after which nothing is received any more.
        trouble: what ended the stream, if not the peer.
    """

    until: float = math.inf
    trouble: OSError | None = None

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands; a refusal is reported and raised as what it means."""
        try:
            super().do_handshake(block)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise
        except ssl.SSLError as error:
            context = self.context
            assert isinstance(context, PinnedContext)
            raise context.refused(error) from error

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        """Receive what is there or comes in time; 0 at the end and after the last moment."""
        left, silence = self.until - time.monotonic(), self.gettimeout()
        try:
            if left <= 0:
                raise TimeoutError("the answer as a whole took too long")
            if silence is None or left < silence:
                self.settimeout(left)
            return super().recv_into(buffer, nbytes, flags)
        except OSError as error:
            self.trouble = error
            return 0


def _read(certificate: bytes) -> tuple[x509.Certificate, str, list[str]]:
    """Return a DER certificate with its issuer's name and the host names that it is for.

    Raises:
        CeremonyError: RF-PEER-001 if it cannot be read: OpenSSL takes some that we do not.
    """
    try:
        leaf = x509.load_der_x509_certificate(certificate)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return leaf, _common_name(leaf.issuer), names.get_values_for_type(x509.DNSName)
    except _UNREADABLE as error:
        found = "a certificate that cannot be read"
        raise foreign_certificate("RF-PEER-001", "", found=found) from error


def _anchor(name: str, key: bytes) -> x509.Certificate:
    """Return a CA certificate for a plan identity; nobody ever verifies its own signature."""
    not_before, not_after = _ALWAYS
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name("ringforge anchor"))
        .public_key(Ed25519PublicKey.from_public_bytes(key))
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _common_name(name: x509.Name) -> str:
    values = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(values[0].value) if len(values) == 1 else ""


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
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
