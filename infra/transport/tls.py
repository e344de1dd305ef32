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

import math
import secrets
import ssl
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from infra.transport.members import ALWAYS, Members, key_usage, named
from infra.transport.refusal import (
    RefusedDocumentError,
    SparingLog,
    missing_certificate,
    refusal,
)
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import COORDINATOR

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    from _typeshed import ReadableBuffer, WriteableBuffer
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from typing_extensions import Buffer

    from infra.transport.attestation import Attestation

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
        context.sslobject_class = _AttestedConnection if attested else _ReportingConnection
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


class PinnedContext(ssl.SSLContext):
    """A context that knows whom it is for and renews its leaf before it expires."""

    owner: Identity
    peer: str
    renew_at: datetime = ALWAYS[0]
    renewing: threading.Lock

    def renew_if_due(self) -> None:
        """Load a new leaf once half the life of the present one is over."""
        if self.owner.now() < self.renew_at:
            return
        pem, passphrase, self.renew_at = self.owner.leaf()
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
            wrapped.admit()
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    def refused(self, error: ssl.SSLError) -> CeremonyError:
        """Return and report what a failed handshake means."""
        meaning = refusal(error, peer=self.peer)
        self.owner.report(meaning)
        return meaning

    def admitted(self, certificate: bytes | None) -> datetime | None:
        """Return until when the document of the peer that was called counts, None for ever.

        Raises:
            RefusedDocumentError: if it does not count; reported.
        """
        attestation = self.owner.attestation
        if attestation is None or not self.peer:
            return None
        assert certificate is not None
        try:
            return attestation.admit(self.peer, certificate)
        except CeremonyError as error:
            self.owner.report(error)
            raise RefusedDocumentError(error) from error

    def last_moment(self, until: datetime | None) -> float:
        """Return the monotonic time after which nothing passes any more."""
        attestation = self.owner.attestation
        if attestation is None or until is None:
            return math.inf
        return time.monotonic() + attestation.seconds_left(until)


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


class _AttestedConnection(_ReportingConnection):
    """A connection that lasts as long as the document of its other end counts.

    A client judges the server's document as part of the handshake, so that nothing is sent to whom
    it refuses. A server judges the caller's once the handshake is over (`infra.transport.gate`), so
    that it can say why.

    Attributes:
        since: monotonic time at which the handshake ended.
        until: monotonic time after which nothing passes any more.
    """

    since: float = math.inf
    until: float = math.inf

    def do_handshake(self) -> None:
        """Go on with the handshake; a client then judges whom it has called."""
        super().do_handshake()
        context = self.context
        assert isinstance(context, PinnedContext)
        self.since = time.monotonic()
        if context.peer:
            self.admitted(context.admitted(self.getpeercert(binary_form=True)))

    def admitted(self, until: datetime | None) -> None:
        """Let bytes pass up to this time."""
        context = self.context
        assert isinstance(context, PinnedContext)
        self.until = context.last_moment(until)

    def read(self, length: int = 1024, buffer: Buffer | None = None) -> Any:
        """Read what has arrived while the other end's document counts."""
        self._check()
        return super().read(length, buffer)

    def write(self, data: ReadableBuffer) -> int:
        """Write while the other end's document counts."""
        self._check()
        return super().write(data)

    def is_due(self) -> bool:
        """Tell whether both ends should make a new connection, with new documents.

        Documents are renewed at half their age, so at this time each counts for a while yet.
        """
        context = self.context
        assert isinstance(context, PinnedContext)
        attestation = context.owner.attestation
        assert attestation is not None
        return time.monotonic() > self.since + attestation.maximal_age.total_seconds() / 4

    def _check(self) -> None:
        if time.monotonic() > self.until:
            raise ssl.SSLError("the other end's attestation document has become too old")


class PinnedSocket(ssl.SSLSocket):
    """A blocking connection that says why its handshake failed, and that knows a last moment.

    Who reads through a buffer would lose what arrived just before an error. So an error while
    something is received looks like the end of the stream, and stays in `trouble`.

    Attributes:
        until: monotonic time after which nothing is received any more.
        counts_until: monotonic time after which the peer's attestation document is too old.
        trouble: what ended the stream, if not the peer.
    """

    until: float = math.inf
    counts_until: float = math.inf
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

    def admit(self) -> None:
        """Judge the document of the peer, if the plan asks for one.

        Raises:
            CeremonyError: RF-ATTEST-*, as `Attestation.admit`.
        """
        context = self.context
        assert isinstance(context, PinnedContext)
        try:
            until = context.admitted(self.getpeercert(binary_form=True))
        except RefusedDocumentError as error:
            raise error.meaning from error
        self.counts_until = context.last_moment(until)

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        """Receive what is there or comes in time; 0 at the end and after the last moment."""
        left = min(self.until, self.counts_until) - time.monotonic()
        silence = self.gettimeout()
        try:
            if left <= 0:
                raise TimeoutError("the answer as a whole took too long")
            if silence is None or left < silence:
                self.settimeout(left)
            return super().recv_into(buffer, nbytes, flags)
        except OSError as error:
            self.trouble = error
            return 0
