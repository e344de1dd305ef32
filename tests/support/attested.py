"""Members whose plan asks for enclaves, with software in the place of those."""

from __future__ import annotations

import dataclasses
import datetime as dt
from functools import cached_property

from infra.enclave.insecure_software import Authority, InsecureSoftwareModule
from infra.enclave.peers import approved_by
from infra.party.enclave import Enclave
from infra.plan.sandbox import sandbox_plan
from infra.transport.attestation import Attestation
from infra.transport.tls import COORDINATOR, Identity, Members

DOCUMENT_SECONDS = 600


@dataclasses.dataclass
class AttestedWorld:
    """A plan that asks for attestation, everybody's keys, and what each member refused."""

    document_seconds: int = DOCUMENT_SECONDS
    refusals: list = dataclasses.field(default_factory=list)
    now: dt.datetime = dataclasses.field(default_factory=lambda: dt.datetime.now(dt.UTC))

    @cached_property
    def root(self):
        return Authority.create(self.now - dt.timedelta(days=2))

    @cached_property
    def parties(self):
        return sandbox_plan(
            operators=4,
            threshold=1,
            parameters="test",
            waiting_seconds=60,
            hybrid=True,
            enclave=self.root,
            document_seconds=self.document_seconds,
        )

    @property
    def plan(self):
        return self.parties.signed.plan

    @property
    def members(self):
        return Members.of_plan(self.plan)

    def clock(self):
        return self.now

    def enclave(self, name):
        module = InsecureSoftwareModule(self.plan, self.root, approved_by(self.plan), self.clock)
        return Enclave(self.plan, name, module, self.root.certificate, self.clock)

    def identity(self, name, *, enclave=None, attested=True):
        """Return a member's identity, a host's without an enclave."""
        own = None if name == COORDINATOR else enclave or self.enclave(name)
        return Identity(
            name,
            self.parties.identities[name],
            self.members,
            clock=self.clock,
            refused=lambda error: self.refusals.append((name, error)),
            attestation=Attestation(self.plan, own, now=self.clock) if attested else None,
        )
