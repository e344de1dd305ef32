"""A whole ceremony in memory: the operators' own steps, and a driver that does what workflows do.

One thread, a clock that only the driver moves, and no wait: a step that would wait is an error.
Operators are stopped, robbed of `work/` and started again between the driver's steps; `at` runs a
function at a milestone: "keys", a batch such as "N-3", "seal", "secure", "rebuild", "key-set",
"announcement", "conclude".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from activities.arithmetic import KnownValues
from activities.operator import Operator
from activities.steps import Steps
from infra.board import wire
from infra.coordinator.openings import Openings
from infra.coordinator.views import batch_view, seal_view, setup_view
from infra.party.presence import Presence
from infra.party.rules import batch_counts, layout_of, party_state
from infra.plan import COORDINATOR, SetupSeed
from infra.plan.sandbox import sandbox_plan
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.owed import slot_of
from mpc_core.protocol.statements import Done, Due, due_statement
from mpc_core.tfhe.keyset import bodies_of, key_set_digest, seed_of
from mpc_core.tfhe.parameters import lookup
from tests.support.ports import (
    Clock,
    CpuMeter,
    MemoryBlobs,
    MemoryBoard,
    MemoryLog,
    MemoryPeers,
    MemoryStore,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mpc_core.protocol.batch import BatchKey

SEED = "00112233445566778899aabbccddeeff"
_PATIENCE = 500
_STEP_OF_PHASE = {
    "contributions": "contribute",
    "complaints": "examine",
    "acknowledgements": "acknowledge",
}


class ContradictionError(Exception):
    """Operators contradict one another: the ceremony stops, and there is no key."""


class Party:
    """One operator: what survives a crash, and while it runs its log and its steps."""

    def __init__(self, ceremony: Ceremony, index: int) -> None:
        self.ceremony, self.index = ceremony, index
        self.name = ceremony.plan.name_of(index)
        self.vault, self.work = MemoryStore(), MemoryStore()
        self.blobs = MemoryBlobs(ceremony.plan.layout.leaf_bytes)
        self.meter = CpuMeter()
        self.alter: Callable[[Steps], Steps] = lambda steps: steps
        self.log: MemoryLog
        self.steps: Steps
        self.running = False

    def start(self) -> None:
        ceremony, plan = self.ceremony, self.ceremony.plan
        assert not self.running
        known = KnownValues(plan.hash, self.work)
        self.log = MemoryLog(
            plan,
            ceremony.board,
            party_state(plan, ceremony.layout, known),
            ceremony.clock,
            (self.index, ceremony.identities[self.name]),
        )
        self.steps = self.alter(
            Steps.of(
                Operator(
                    plan=plan,
                    index=self.index,
                    parameters=lookup(plan.parameters),
                    layout=ceremony.layout,
                    log=self.log,
                    known=known,
                    blobs=self.blobs,
                    peers=MemoryPeers(self.blobs, ceremony.reach),
                    vault=self.vault,
                    work=self.work,
                    random=ceremony.seeds[self.name].derive,
                ),
                self.meter,
            )
        )
        self.running = True

    def stop(self) -> None:
        assert self.running
        self.running = False
        self.log.close()

    def twin(self, ceremony: Ceremony) -> Party:
        """Return a copy, not running, that takes part in another ceremony."""
        twin = Party(ceremony, self.index)
        twin.vault, twin.work = self.vault.copy(), self.work.copy()
        twin.blobs = self.blobs.copy()
        return twin

    def lose_work(self) -> None:
        assert not self.running
        self.work = MemoryStore()
        self.blobs = MemoryBlobs(self.ceremony.plan.layout.leaf_bytes)

    def come_back(self) -> None:
        """Let the operator do what it does unasked, until it has nothing more to say."""
        presence = Presence(self.log, self.steps, ("127.0.0.1", self.index), failed=lambda: None)
        before = None
        while before != (before := self._situation()):
            presence.once()

    def _situation(self) -> tuple[object, ...]:
        state = self.log.state
        given_up = self.index in state.members.absent | state.members.written_off
        return (state.size, state.awaiting_v, given_up)

    def owed_entries(self, slots: tuple[str, ...]) -> tuple[bytes, ...]:
        return tuple(env for entry, env in self.log.posted.items() if slot_of(entry) in slots)


class Ceremony:
    """n operators and the scripted driver."""

    def __init__(
        self, n: int = 4, t: int = 1, *, seed: str = SEED, waiting_seconds: float = 20.0, **layout
    ) -> None:
        parties = sandbox_plan(
            operators=n,
            threshold=t,
            parameters="test",
            waiting_seconds=waiting_seconds,
            seed=SetupSeed.parse(seed),
        )
        plan = parties.signed.plan
        self.plan = replace(plan, layout=replace(plan.layout, **layout))
        self.identities, self.seeds = parties.identities, parties.seeds
        self.layout = layout_of(self.plan)
        self.clock = Clock()
        self.board = MemoryBoard(self.plan)
        self.at: dict[str, Callable[[], None]] = {}
        self.refusals: list[CeremonyError] = []
        self._queued: Mapping[int, list[Callable[[Party], None]]] = defaultdict(list)
        self.blobs, self.known = MemoryBlobs(self.plan.layout.leaf_bytes), MemoryStore()
        self._follow_log()
        self.parties = {index: Party(self, index) for index in range(1, n + 1)}

    def _follow_log(self) -> None:
        known = KnownValues(self.plan.hash, self.known)
        self.log = MemoryLog(
            self.plan, self.board, party_state(self.plan, self.layout, known), self.clock
        )
        self.openings = Openings(
            self.log, known, self.blobs, MemoryPeers(self.blobs, self.reach), self.layout
        )

    # -- operators come and go --------------------------------------------------------------------

    def party(self, index: int) -> Party:
        return self.parties[index]

    def reach(self, index: int) -> Party | Ceremony | None:
        if not index:
            return self  # the coordinator
        party = self.parties.get(index)
        return party if party is not None and party.running else None

    @property
    def running(self) -> list[Party]:
        return [party for party in self.parties.values() if party.running]

    def stop(self, *operators: int) -> None:
        for index in operators:
            self.parties[index].stop()

    def lose(self, index: int) -> None:
        """Stop an operator and empty its `work/`."""
        self.parties[index].stop()
        self.parties[index].lose_work()

    def restart(self, *operators: int) -> None:
        """Start operators again; they come back and get the orders that were meant for them."""
        for index in operators:
            party = self.parties[index]
            party.start()
            self._try(party, Party.come_back)
            queued, self._queued[index][:] = list(self._queued[index]), []
            for act in queued:
                self._try(party, act)

    # -- the agenda -------------------------------------------------------------------------------

    def run(self) -> bytes:
        """Run the whole agenda; return the digest of the announced key set."""
        for party in self.parties.values():
            party.start()
            party.come_back()
        self.keys()
        for stage in "NSM":
            self.stage(stage)
        self.seal()
        self.everyone("secure")
        return self.assemble()

    def assemble(self) -> bytes:
        bodies = batch_counts(self.layout)["bodies"]
        self.stage("O", 0, 1)
        self.stage("O", 1, bodies)
        self.everyone("rebuild")
        self.state("key-set", self.digest().hex())
        self.stage("O", bodies)
        digest = self.state("announcement")
        self.everyone("conclude")
        return bytes.fromhex(digest)

    def keys(self) -> None:
        self._reach("keys")
        self.everyone("announce_kem_key")
        ordered = None
        for _ in range(_PATIENCE):
            view = setup_view(self.log.state, self.log.seconds_since_covered)
            if view.phase == "sealed":
                return
            if view.phase in _STEP_OF_PHASE and (view.phase, view.slot) != ordered:
                self._reach(_STEP_OF_PHASE[view.phase])
                self._order(self.parties, lambda p, s=_STEP_OF_PHASE[view.phase]: p.steps.step(s))
                ordered = (view.phase, view.slot)
                continue
            if view.slot:
                self.state("close", view.slot)
            elif view.ready:
                self.state("setup-seal")
            elif view.silent:
                self.write_off(view.silent, view.summoned)
            else:
                self._tick()
        raise AssertionError("the setup does not end")

    def stage(self, stage: str, first: int = 0, last: int | None = None) -> None:
        last = len(self.layout.stage(stage)) if last is None else last
        for index in range(first, last):
            self.batch((stage, index))

    def batch(self, key: BatchKey) -> None:
        self._reach(f"{key[0]}-{key[1]}")
        ordered: set[tuple[str, int, int]] = set()
        for _ in range(_PATIENCE):
            self._look()
            view = batch_view(self.log.state, key, self.log.seconds_since_covered)
            if view.step == "settled":
                return
            size = len(self.board.entries)
            for step, index, round_ in _orders(view):
                if (step, index, round_) not in ordered:
                    ordered.add((step, index, round_))
                    numbers = () if step == "share" else (round_,)
                    self._order([index], lambda p, s=step, q=numbers: getattr(p.steps, s)(key, *q))
            if view.close:
                self.state("close", view.close)
            if len(self.board.entries) == size:
                self._tick()
        raise AssertionError(f"batch {key} does not settle: {self.log.state.status(key)}")

    def seal(self) -> None:
        self._reach("seal")
        asked: set[int] = set()
        for _ in range(_PATIENCE):
            self._look()
            view = seal_view(self.log.state, self.log.seconds_since_covered)
            if view.sealed:
                return
            self._order(set(view.owing) - asked, lambda p: p.steps.catch_up())
            asked |= set(view.owing)
            if view.ready:
                self.state("seal")
            elif view.silent and not view.owing:
                self.write_off(view.silent, view.summoned)
            else:
                self._tick()
        raise AssertionError("the ceremony is not sealed")

    def write_off(self, silent: list[int], summoned: list[int]) -> None:
        for index in silent:
            if index not in summoned:
                self.state("summons", str(index))
            self.state("write-off", str(index))

    def everyone(self, step: str) -> None:
        self._reach(step)
        self._order(sorted(self.log.state.members.awaited), lambda p: p.steps.step(step))

    def state(self, kind: str, subject: str = "") -> str:
        """Gather n-t signatures for a statement and post it; return the subject it leaves."""
        self._reach(kind)
        reasons: object = ""
        for _ in range(_PATIENCE):
            self._look()
            due = due_statement(self.log.state, kind, subject)
            if isinstance(due, Done):
                return due.subject
            reasons = due
            if isinstance(due, Due):
                body, parts, reasons = wire.body_of(due.entry), [], {}
                for index in sorted(self.log.state.members.awaited):
                    party = self.parties[index]
                    if not party.running:
                        reasons[index] = "it does not run"
                    elif objection := party.steps.objection(wire.entry_of(body)):
                        reasons[index] = objection
                    else:
                        parts.append(wire.Endorsement(index, wire.ED25519, party.log.endorse(body)))
                if len(parts) >= self.plan.quorum:
                    self.log.post_signed(wire.assemble(body, parts))
                    continue
            self._tick()
        raise AssertionError(f"{kind} {subject} is not stated: {reasons}")

    # -- after the announcement -------------------------------------------------------------------

    def twin(self) -> Ceremony:
        """Return a copy in which every party was started anew from its stores and the log."""
        twin = copy(self)
        twin.clock, twin.board = Clock(self.clock.now), self.board.copy()
        twin.at, twin.refusals, twin._queued = {}, [], defaultdict(list)
        twin.blobs, twin.known = self.blobs.copy(), self.known.copy()
        twin._follow_log()
        twin.parties = {index: party.twin(twin) for index, party in self.parties.items()}
        for party in twin.parties.values():
            party.start()
        return twin

    # -- what came out ----------------------------------------------------------------------------

    def digest(self) -> bytes:
        parameters = lookup(self.plan.parameters)
        tag = bytes.fromhex(self.plan.ceremony_id)
        return key_set_digest(parameters, self.seed(), tag, self.bodies())

    def seed(self) -> bytes:
        return seed_of(self.openings.read(("O", 0)))

    def bodies(self):
        return bodies_of(
            lookup(self.plan.parameters),
            self.layout,
            lambda index: self.openings.read(("O", index)),
        )

    def cpu(self) -> Counter[str]:
        """CPU seconds of all operators' steps by stage."""
        return sum((party.meter.seconds for party in self.parties.values()), Counter())

    # -- inside -----------------------------------------------------------------------------------

    def _reach(self, milestone: str) -> None:
        act = self.at.pop(milestone, None)
        if act is not None:
            act()
        self._let_presence_work()

    def _let_presence_work(self) -> None:
        for party in self.running:
            self._try(party, Party.come_back)

    def _look(self) -> None:
        self.openings.fetch_unknown()
        reasons = self.log.state.needs_blame_support
        if reasons:
            raise ContradictionError("; ".join(reasons))

    def _order(self, operators, act: Callable[[Party], None]) -> None:
        """Give an order; who does not run gets it when it is back."""
        for index in operators:
            party = self.parties[index]
            if party.running:
                self._try(party, act)
            else:
                self._queued[index].append(act)

    def _try(self, party: Party, act: Callable[[Party], None]) -> None:
        try:
            act(party)
        except CeremonyError as error:
            self.refusals.append(error)

    def _tick(self) -> None:
        self.clock.advance(1.0)
        self._let_presence_work()


def _orders(view) -> list[tuple[str, int, int]]:
    if view.step == "decode" and view.decoder:
        return [("decode", view.decoder, view.round)]
    if view.step in ("share", "answer"):
        round_ = view.round if view.step == "answer" else 0
        return [(view.step, index, round_) for index in view.present]
    return []


__all__ = ["COORDINATOR", "Ceremony", "ContradictionError", "Party"]
