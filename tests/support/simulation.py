"""A whole ceremony in memory: the operators' own steps, and a driver that does what workflows do.

One thread, a clock that only the driver moves, and no wait: a step that would wait is an error.
Operators are stopped, robbed of `work/` and started again between the driver's steps; `at` runs a
function at a milestone: "keys", a batch such as "N-3", "seal", "secure", "rebuild", "key-set",
"announcement", "conclude".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from copy import copy
from typing import TYPE_CHECKING

from activities.arithmetic import KnownValues
from infra.board import wire
from infra.coordinator.openings import Openings
from infra.coordinator.views import batch_view, seal_view, setup_view
from infra.drill.board import MemoryBoard, MemoryLog, WouldWaitError
from infra.drill.clock import Clock
from infra.drill.party import Party
from infra.drill.peers import MemoryPeers
from infra.drill.site import SEED, parties_of
from infra.drill.stores import MemoryBlobs, MemoryStore
from infra.party.rules import batch_counts, party_state
from infra.plan import COORDINATOR
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.statements import Done, Due, due_statement
from mpc_core.tfhe.keyset import bodies_of, key_set_digest, seed_of
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mpc_core.protocol.batch import BatchKey

_PATIENCE = 500
_STEP_OF_PHASE = {
    "contributions": "contribute",
    "complaints": "examine",
    "acknowledgements": "acknowledge",
}


class Ceremony:
    """n operators and the scripted driver."""

    enclave = None

    def __init__(
        self,
        n: int = 4,
        t: int = 1,
        *,
        parameters: str = "test",
        seed: str = SEED,
        waiting_seconds: float = 20.0,
        hybrid: bool = False,
        enclave: bool = False,
        **layout,
    ) -> None:
        parties = parties_of(
            n,
            t,
            parameters=parameters,
            seed=seed,
            waiting_seconds=waiting_seconds,
            hybrid=hybrid,
            layout=tuple(layout.items()),
            enclave=enclave,
        )
        self.plan, self.layout = parties.plan, parties.layout
        self.identities, self.seeds = parties.identities, parties.seeds
        self.root = parties.root
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
        ordered: set[tuple[str, str, int, int]] = set()
        for _ in range(_PATIENCE):
            self._look()
            view = batch_view(self.log.state, key, self.log.seconds_since_covered)
            if view.step == "settled":
                return
            size = len(self.board.entries)
            for step, index, round_ in _orders(view):
                if (view.name, step, index, round_) not in ordered:
                    ordered.add((view.name, step, index, round_))
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
            elif view.close:
                self.state("close", view.close)
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
                for index in sorted(self.log.state.members.signers):
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


def with_keys() -> Ceremony:
    """Return a ceremony of four that has its keys, and nothing else yet."""
    ceremony = Ceremony()
    for party in ceremony.parties.values():
        party.start()
        party.come_back()
    ceremony.keys()
    return ceremony


__all__ = ["COORDINATOR", "SEED", "Ceremony", "Party", "WouldWaitError", "with_keys"]
