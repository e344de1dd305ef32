"""What enclaves prove to each other before the first byte of a conversation.

The certificate of an operator carries, in a private extension, an attestation document that binds
the certificate's key: software with the plan's measurement made that key. The handshake proves that
the other end holds it now. So both sides look at the certificate after the handshake and before
anything is read or written, and at its document's age for as long as the connection lasts.

A host of the log runs in no enclave and shows no document: nothing secret is sent to it, and nobody
acts on its word alone (runbooks/adr/0031).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asn1crypto.core import OctetString
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from infra.board import strict
from infra.enclave.binding import Binding
from infra.enclave.document import read_document
from infra.enclave.peers import verify_peer
from infra.enclave.refusals import attestation_error
from infra.transport.members import UNREADABLE
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.party.enclave import Enclave
    from mpc_core.protocol.plan import Plan

__all__ = ["EXTENSION", "Attestation", "Shown"]

EXTENSION = x509.ObjectIdentifier("2.25.192398171512207437653371866190716041021")
"""An arc of our own: a random UUID, as ITU-T X.667 allows."""

MOST_EXTENSION_BYTES = 24_576
CACHED_PER_MEMBER = 16
MOST_UNPOSTED = 96
"""Documents that wait for the log: two days of them, if they are renewed every half an hour."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What this operator shows to the others: a document and the keys that it binds."""

    tls_key: bytes
    kem_key: bytes
    document: bytes


@dataclass(frozen=True, slots=True)
class _Carried:
    """The content of the extension; the TLS key stands in the certificate already."""

    kem_key: bytes
    document: bytes


class Attestation:
    """One party's side of it: what it shows, and its judgement of what others show."""

    def __init__(
        self,
        plan: Plan,
        enclave: Enclave | None = None,
        *,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        """Prepare to show and to judge.

        Args:
            plan: the signed plan, which asks for attestation.
            enclave: this operator's; None for a host of the log.
            now: this party's clock.
        """
        assert plan.attestation is not None
        self._plan = plan
        self._enclave = enclave
        self._now = now
        self._lock = threading.Lock()
        self._verdicts: OrderedDict[bytes, dt.datetime | CeremonyError] = OrderedDict()
        self.maximal_age = dt.timedelta(seconds=plan.attestation.document_seconds)
        self._difference = dt.timedelta(seconds=plan.deadlines.clock_seconds)
        self.kem_key = b""
        """The KEM key that the documents bind; known before the first one is shown."""
        self.shown: Shown | None = None
        """What was shown last."""
        self._unposted: deque[Shown] = deque(maxlen=MOST_UNPOSTED)
        self.signed: Callable[[dt.datetime, dt.datetime, dt.datetime], None] | None = None
        """Takes the time in every document of this enclave, after those around it."""

    def extension(self, tls_key: bytes) -> x509.UnrecognizedExtension | None:
        """Return the extension of a new certificate, None for a host of the log.

        Args:
            tls_key: DER of the certificate's public key.

        Raises:
            CeremonyError: RF-ATTEST-010 if the security module refuses.
        """
        if self._enclave is None:
            return None
        asked = self._now()
        document = self._enclave.document(tls_key, self.kem_key)
        if self.signed is not None:
            self.signed(asked, self._now(), read_document(document).time)
        self.shown = Shown(tls_key, self.kem_key, document)
        with self._lock:
            self._unposted.append(self.shown)
        carried = strict.encode(_Carried(self.kem_key, document))
        return x509.UnrecognizedExtension(EXTENSION, _octets(carried))

    def unposted(self) -> tuple[Shown, ...]:
        """Return what was shown and is not known to be on the log, the oldest first.

        When there is too much of it the oldest is forgotten: peers have judged it, and what binds
        the keys of now is the newest.
        """
        with self._lock:
            return tuple(self._unposted)

    def posted(self, documents: set[bytes]) -> None:
        """Take note of documents that are on the log."""
        with self._lock:
            left = [each for each in self._unposted if each.document not in documents]
            self._unposted = deque(left, MOST_UNPOSTED)

    def admit(self, name: str, certificate: bytes) -> dt.datetime | None:
        """Return until when a member's certificate counts, None for ever.

        Args:
            name: whom the certificate belongs to; its signature was checked.
            certificate: DER.

        Raises:
            CeremonyError: RF-ATTEST-001 to RF-ATTEST-008, or RF-ATTEST-014 if it carries none.

        Security: what is remembered is the verdict on these very bytes; the age is looked at
            anew every time.
        """
        if name in self._plan.hosts:
            return None
        digest = hashlib.sha256(certificate).digest()
        with self._lock:
            verdict = self._verdicts.get(digest)
        if verdict is None:
            verdict = self._remember(digest, self._judged(name, certificate))
        if isinstance(verdict, CeremonyError):
            raise verdict
        if not -self._difference <= self._now() - verdict <= self.maximal_age:
            raise _not_of_now(name, verdict)
        return verdict + self.maximal_age

    def seconds_left(self, until: dt.datetime) -> float:
        """Return for how long a connection may go on."""
        return (until - self._now()).total_seconds()

    def _judged(self, name: str, certificate: bytes) -> dt.datetime | CeremonyError:
        """Return when a document was made that is right whatever the time is."""
        try:
            leaf = x509.load_der_x509_certificate(certificate)
            tls_key = leaf.public_key().public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo
            )
            carried = _carried(leaf)
        except UNREADABLE as error:
            return _without_document(name, str(error)[:100] or type(error).__name__)
        binding = Binding.of(self._plan, name, tls_key, carried.kem_key)
        try:
            return verify_peer(self._plan, binding, carried.document).time
        except CeremonyError as error:
            return error

    def _remember(
        self, digest: bytes, verdict: dt.datetime | CeremonyError
    ) -> dt.datetime | CeremonyError:
        with self._lock:
            self._verdicts[digest] = verdict
            if len(self._verdicts) > CACHED_PER_MEMBER * self._plan.count:
                self._verdicts.popitem(last=False)
        return verdict


def _carried(leaf: x509.Certificate) -> _Carried:
    """Return what the extension of a certificate carries.

    Raises:
        ValueError, ExtensionNotFound: if it carries none, or nothing that can be read.
    """
    found = leaf.extensions.get_extension_for_oid(EXTENSION).value
    assert isinstance(found, x509.UnrecognizedExtension)
    if len(found.value) > MOST_EXTENSION_BYTES:
        raise ValueError(f"an extension of {len(found.value)} bytes")
    content: bytes = OctetString.load(  # type: ignore[no-untyped-call]  # asn1crypto has no types
        found.value, strict=True
    ).native
    return strict.decode(_Carried, content)


def _octets(content: bytes) -> bytes:
    """Return the DER of an octet string."""
    der: bytes = OctetString(content).dump()  # type: ignore[no-untyped-call]
    return der


def _without_document(name: str, found: str) -> CeremonyError:
    return attestation_error(
        "RF-ATTEST-014",
        f"{name} shows no attestation document",
        "a document in its certificate, as the plan asks for enclaves",
        found,
        "start that operator with the plan's software, in an enclave",
        operator=name,
    )


def _not_of_now(name: str, made: dt.datetime) -> CeremonyError:
    return attestation_error(
        "RF-ATTEST-007",
        f"the attestation document of {name} is not of now",
        "one that is renewed before the age that the plan allows",
        f"one of {made.isoformat(timespec='seconds')}",
        "see whether that operator's enclave and its clock run",
        operator=name,
    )
