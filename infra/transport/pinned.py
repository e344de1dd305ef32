"""Contexts that pin peers, and the connections that they make, which say why they were refused."""

from __future__ import annotations

import math
import ssl
import tempfile
import time
from typing import TYPE_CHECKING, Any

from infra.transport.members import ALWAYS
from infra.transport.refusal import RefusedDocumentError, is_without_key, refusal
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    import socket
    import threading
    from datetime import datetime

    from _typeshed import ReadableBuffer, WriteableBuffer
    from typing_extensions import Buffer

    from infra.transport.tls import Identity

__all__ = ["AttestedConnection", "PinnedContext", "PinnedSocket", "ReportingConnection"]


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

    def refused(self, error: ssl.SSLError, shown: bytes | None = None) -> CeremonyError:
        """Return and report what a failed handshake means.

        Args:
            error: what OpenSSL reported.
            shown: the certificate that the other end showed, if it is known.
        """
        peer = self.peer or (self._owner_of(shown) if is_without_key(error) else "")
        meaning = refusal(error, peer=peer)
        self.owner.report(meaning)
        return meaning

    def _owner_of(self, certificate: bytes | None) -> str:
        """Return whose certificate this is, "" if it is nobody's."""
        try:
            return self.owner.members.identify(certificate)
        except CeremonyError:
            return ""

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


class ReportingConnection(ssl.SSLObject):
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
            context.refused(error, self._shown())
            raise

    def _shown(self) -> bytes | None:
        """Return the certificate that the other end showed; nothing says yet that it is its own."""
        chain = self._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # public in 3.13
        return ssl.PEM_cert_to_DER_cert(chain[0].public_bytes()) if chain else None


class AttestedConnection(ReportingConnection):
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
