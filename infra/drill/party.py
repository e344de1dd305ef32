"""One operator of a drill: its own steps over ports in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from activities.arithmetic import KnownValues
from activities.operator import Operator
from activities.rejoin import approval_name
from activities.steps import Steps
from infra.board import wire
from infra.drill.attested import MemoryEnclave
from infra.drill.board import MemoryLog
from infra.drill.peers import MemoryPeers, refused
from infra.drill.stores import CpuMeter, MemoryBlobs, MemoryStore, MemorySums
from infra.party.presence import Presence
from infra.party.rules import party_state
from infra.sums import batches_at_a_time
from mpc_core.protocol.owed import slot_of
from mpc_core.sharing.sealing import KEM_SEED_BYTES
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.drill.site import Site
    from infra.party.log import PartyLog
    from mpc_core.adversary.twin import Claim
    from mpc_core.protocol.entries import Rejoin
    from mpc_core.sharing.recovery import Question

__all__ = ["Party"]


class Party:
    """One operator: what survives a crash, and while it runs its log and its steps.

    Attributes:
        site: the ceremony it takes part in.
        alter: what a lying operator does instead of its steps.
    """

    def __init__(self, site: Site, index: int) -> None:
        """Take a seat; nothing runs yet."""
        self.site, self.index = site, index
        self.name = site.plan.name_of(index)
        self.vault, self.work = MemoryStore(), MemoryStore()
        self.blobs = MemoryBlobs(site.plan.layout.leaf_bytes)
        self.meter = CpuMeter()
        self.alter: Callable[[Steps], Steps] = lambda steps: steps
        self.sums: MemorySums
        self.log: MemoryLog
        self.steps: Steps
        self.presence: Presence
        self.running = False
        self.enclave: MemoryEnclave | None = None
        self._seed = site.seeds[self.name]

    def start(self) -> None:
        """Start the operator's process."""
        assert not self.running
        known = KnownValues(self.site.plan.hash, self.work)
        self.sums = MemorySums(batches_at_a_time(self.site.plan))
        self.log = self._follow(known)
        if self.site.root is not None:
            self.enclave = MemoryEnclave(self.site, self.index, self.log, self._claim)
        self.steps = self.alter(Steps.of(self._operator(known), self.meter))
        self.presence = Presence(
            cast("PartyLog", self.log),
            self.steps,
            ("127.0.0.1", self.index),
            lambda: None,
            documents=None if self.enclave is None else self.enclave.documents,
        )
        if self.enclave is not None:
            self.enclave.begin(self.steps)
        self.running = True

    def _claim(self, claim: Claim) -> Claim | None:
        """Return what the documents of its enclave say, None if it shows none."""
        return claim

    def _operator(self, known: KnownValues) -> Operator:
        plan = self.site.plan
        return Operator(
            plan=plan,
            index=self.index,
            parameters=lookup(plan.parameters),
            layout=self.site.layout,
            log=self.log,
            known=known,
            blobs=self.blobs,
            peers=self._peers(),
            vault=self.vault,
            work=self.work,
            cache=self.sums,
            random=self._seed.derive,
        )

    def _follow(self, known: KnownValues) -> MemoryLog:
        site = self.site
        return MemoryLog(
            site.plan,
            site.board,
            party_state(site.plan, site.layout, known),
            site.clock,
            (self.index, site.identities[self.name]),
        )

    def _peers(self) -> MemoryPeers:
        return MemoryPeers(self.blobs, self.site.reach, self.enclave)

    def stop(self) -> None:
        """End the operator's process."""
        assert self.running
        self.running = False
        self.log.close()

    def twin(self, site: Site) -> Party:
        """Return a copy, not running, that takes part in another ceremony."""
        twin = Party(site, self.index)
        twin.vault, twin.work = self.vault.copy(), self.work.copy()
        twin.blobs = self.blobs.copy()
        return twin

    def lose_work(self) -> None:
        """Lose `work/`, the disk of what can be made again."""
        assert not self.running
        self.work.kept.clear()
        self.blobs.kept.clear()

    def lose_vault(self) -> None:
        """Lose everything but the identity key; what is drawn from now on is something else."""
        self.lose_work()
        self.vault.kept.clear()
        self._seed = self._seed.party("after a loss")

    def give_up(self) -> None:
        """Start anew as who lost its state; the operator runs."""
        self.steps.seat.give_up(self._seed.derive("rejoin", KEM_SEED_BYTES))

    def approve(self, index: int, key: bytes) -> None:
        """Let this operator's people approve another one's return."""
        self.vault.write(approval_name(index), key)

    def give(self, question: Question) -> bytes:
        """Answer a direct call for secrets that another operator lost."""
        return self.steps.give(question)

    def admit(self, entry: Rejoin) -> bytes:
        """Answer a direct call of an operator that lost its state with a signature."""
        if objection := self.steps.objection_to_rejoin(entry):
            raise refused("RF-PEER-094", self.index, "an approval", objection)
        return self.log.endorse(wire.body_of(entry))

    def come_back(self) -> None:
        """Let the operator do what it does unasked, until it has nothing more to say."""
        before = None
        while before != (before := self._situation()):
            self.presence.once()

    def _situation(self) -> tuple[object, ...]:
        state = self.log.state
        given_up = self.index in state.members.absent | state.members.written_off
        return (state.size, state.awaiting_v, given_up, self.steps.stock.lacks())

    def owed_entries(self, slots: tuple[str, ...]) -> tuple[bytes, ...]:
        """Answer a direct call with the signed entries of these slots."""
        return tuple(env for entry, env in self.log.posted.items() if slot_of(entry) in slots)
