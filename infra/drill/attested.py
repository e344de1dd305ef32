"""What enclaves prove to each other in memory: the certificates of processes, without the TLS.

An operator of a drill has the identity that its process would have, and before a call both ends
judge each other's certificate by the same `Attestation`. A lying operator's module signs what its
twin says.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from infra.drill.site import BEGIN
from infra.enclave.insecure_software import InsecureSoftwareModule
from infra.enclave.measurement import Measurement
from infra.enclave.peers import approved_by
from infra.party.attesting import Documents
from infra.party.enclave import Enclave
from infra.transport.attestation import Attestation
from infra.transport.tls import Identity, Members
from mpc_core.adversary.twin import Claim
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from activities.steps import Steps
    from infra.drill.board import MemoryLog
    from infra.drill.site import Site
    from infra.party.log import PartyLog

__all__ = ["MemoryEnclave", "meet"]


class _Claimed(Measurement):
    """Registers that need not be any plan's."""

    def __post_init__(self) -> None:
        """Accept what a twin says."""


class _Module(InsecureSoftwareModule):
    """A security module that signs what its operator's twin claims."""

    def __init__(
        self, site: Site, now: Callable[[], dt.datetime], claims: Callable[[Claim], Claim | None]
    ) -> None:
        assert site.root is not None, "the plan of such a drill asks for enclaves"
        super().__init__(site.plan, site.root, approved_by(site.plan), now)
        self._site, self._claims = site, claims

    def attest(
        self, *, user_data: bytes | None, nonce: bytes | None, public_key: bytes | None
    ) -> bytes:
        """Return a document with what the twin makes of these fields."""
        plan, root = self._site.plan, self._site.root
        assert root is not None
        right = Claim(approved_by(plan).pcrs, user_data or b"", self._now().timestamp())
        said = self._claims(right)
        assert said is not None, "who shows no document asks for none"
        when = dt.datetime.fromtimestamp(said.seconds, dt.UTC)
        measured = _Claimed(dict(said.registers))
        module = InsecureSoftwareModule(plan, root, measured, lambda: when)
        return module.attest(user_data=said.user_data, nonce=nonce, public_key=public_key)


class MemoryEnclave:
    """An operator's side of every call: its certificate, and what it thinks of those of others."""

    def __init__(
        self, site: Site, index: int, log: MemoryLog, claims: Callable[[Claim], Claim | None]
    ) -> None:
        """Make the identity of an operator's process.

        Args:
            site: the ceremony, whose plan asks for enclaves.
            index: the operator's seat.
            log: where its documents and refusals are posted.
            claims: what its documents say, given what is true.
        """
        assert site.root is not None, "the plan of such a drill asks for enclaves"
        self.name = site.plan.name_of(index)
        self._site = site
        module = _Module(site, self._now, claims)
        enclave = Enclave(site.plan, self.name, module, site.root.certificate, self._now)
        shows = claims(Claim(approved_by(site.plan).pcrs, b"?", self._now().timestamp()))
        self.identity = Identity(
            self.name,
            site.identities[self.name],
            Members.of_plan(site.plan),
            clock=self._now,
            attestation=Attestation(site.plan, enclave if shows else None, now=self._now),
        )
        self.documents = Documents(site.plan, index, self.identity, cast("PartyLog", log))

    def begin(self, steps: Steps) -> None:
        """Make the first certificate, as a process does when it starts to serve."""
        self.documents.bind_kem_key(steps)
        self._issue()

    def certificate(self) -> bytes:
        """Return the DER that it shows now."""
        if self._now() >= self._renew_at:
            self._issue()
        return self._certificate

    def _issue(self) -> None:
        pem, _, self._renew_at = self.identity.issue()
        self._certificate = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)

    def judge(self, other: MemoryEnclave) -> None:
        """Look at what another operator shows.

        Raises:
            CeremonyError: RF-ATTEST-*, which it also puts on the log.
        """
        assert self.identity.attestation is not None
        try:
            self.identity.attestation.admit(other.name, other.certificate())
        except CeremonyError as error:
            self.identity.report(error)
            raise

    def _now(self) -> dt.datetime:
        return BEGIN + dt.timedelta(seconds=self._site.clock.now)


def meet(caller: MemoryEnclave | None, called: MemoryEnclave | None) -> None:
    """Have both ends of a call look at each other before anything is said.

    Raises:
        CeremonyError: RF-ATTEST-*, if one refuses the other; a host of the log shows nothing.
    """
    if caller is not None and called is not None:
        caller.judge(called)
        called.judge(caller)
