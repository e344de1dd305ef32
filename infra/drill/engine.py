"""A ceremony in memory under a schedule: one thread, steps of all operators in a random order.

Every operator sees its own prefix of the log and has its own clock. A step that would wait ends and
is tried again when its operator has heard more. Time passes when nobody can do anything.

When the disturbances are over and n-t honest operators are up, the ceremony must end in a bounded
number of rounds; if it does not, the engine says what everybody waits for.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from activities.arithmetic import KnownValues
from infra.board import wire
from infra.coordinator.openings import Openings
from infra.drill.agenda import Agenda
from infra.drill.arithmetic import SharedArithmetic
from infra.drill.board import MemoryBoard, MemoryLog, WouldWaitError
from infra.drill.clock import Clock, SkewedClock
from infra.drill.liars import LyingOperator
from infra.drill.network import HOST, DrillLog, DrillPeers, Network
from infra.drill.operator import DrillOperator, KilledError, Task
from infra.drill.schedule import ABSENCES, Disturbance, Kind, Noise, Schedule
from infra.drill.site import drill_state, parties_of
from infra.drill.stores import MemoryBlobs, MemoryStore
from infra.drill.watch import Watch
from mpc_core.protocol.entries import SetupSeal
from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.keyset import bodies_of, key_set_digest, seed_of
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Callable

    from activities.steps import Steps
    from infra.drill.peers import Reachable
    from infra.party.log import PartyLog
    from infra.party.peers import PeerBook
    from infra.stores import BlobStore
    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Ended", "Engine", "StallError"]

MOST_ROUNDS = 3000
"""Rounds that no ceremony takes, however it is disturbed."""
LONGEST_TICK = 64.0


class StallError(Exception):
    """A ceremony does not end although n-t honest operators are up."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A ceremony that came to its end.

    Attributes:
        digest: of the key set.
        setup: digest of the references that the setup seal names.
        tries: attempts and generations of the batches, which with the setup decide the key set.
        rounds: how many the engine took.
        entries: size of the log.
    """

    digest: bytes
    setup: bytes
    tries: tuple[str, ...]
    rounds: int
    entries: int


class Engine:
    """A ceremony under a schedule; the `Site` of its operators and the `Desk` of its agenda."""

    def __init__(self, schedule: Schedule) -> None:
        """Set a ceremony up; nothing runs yet."""
        parties = parties_of(schedule.n, schedule.t)
        self.schedule = schedule
        self.plan, self.layout = parties.plan, parties.layout
        self.identities, self.seeds = parties.identities, parties.seeds
        self.clock = Clock()
        self.board = CoveredBoard(self.plan)
        self.network = Network(schedule.seed, schedule.noise)
        self.watch = Watch(frozenset(index for index, _ in schedule.liars))
        self.arithmetic = SharedArithmetic()
        self.blobs = MemoryBlobs(self.plan.layout.leaf_bytes)
        self.log = self._coordinators_log()
        self.agenda = Agenda(self)
        self.rounds = 0
        self._luck = random.Random(f"engine {schedule.seed}")  # noqa: S311 - no secret
        self._workflow = self.agenda.ceremony()
        self._tick = 1.0
        self._over = False
        self._pending = list(schedule.disturbances)
        self._ending: list[Disturbance] = []
        self.operators = {index: self._seated(index) for index in range(1, schedule.n + 1)}

    def _seated(self, index: int) -> DrillOperator:
        lie = dict(self.schedule.liars).get(index)
        if lie is None:
            return DrillOperator(self, index)
        luck = random.Random(f"liar {self.schedule.seed} {index}")  # noqa: S311 - no secret
        return LyingOperator(self, index, lie, luck)

    def serve(self, asker: int, root: bytes) -> bytes | None:
        """Answer a call to the coordinator for a blob."""
        del asker
        found = self.blobs.read_if_here(root)
        return None if found is None else bytes(found)

    def _coordinators_log(self) -> DrillLog:
        known = KnownValues(self.plan.hash, MemoryStore())
        state = drill_state(self.plan, self.layout, known, self.arithmetic)
        log = DrillLog(self.plan, self.board, state, SkewedClock(true=self.clock))
        log.network, log.touched = self.network, lambda _: None
        self._openings = Openings(
            cast("PartyLog", log),
            known,
            cast("BlobStore", self.blobs),
            cast("PeerBook", DrillPeers(self.blobs, self.reach, self.network, HOST)),
            self.layout,
        )
        return log

    # -- what operators see -----------------------------------------------------------------------

    def reach(self, index: int) -> Reachable | None:
        """Return a party that is up; 0 is the coordinator."""
        if not index:
            return cast("Reachable", self)
        operator = self.operators.get(index)
        return operator if operator is not None and operator.running else None

    def owed_entries(self, slots: tuple[str, ...]) -> tuple[bytes, ...]:
        """The coordinator owes nothing."""
        del slots
        return ()

    def seen_at_start(self, operator: DrillOperator) -> int:
        """Return how much of the log a starting operator is shown first."""
        del operator
        return self._luck.choice((0, self.board.covered))

    # -- what the agenda works with ---------------------------------------------------------------

    def order(self, index: int, name: str, act: Callable[[Steps], None]) -> Task:
        """Give an operator an order; it stays until it was followed."""
        task = Task(name, act)
        self.operators[index].tasks.append(task)
        return task

    def gather(self, entry: Entry) -> None:
        """Ask the operators for their signatures under a statement; post it with n-t of them."""
        body = wire.body_of(entry)
        parts = []
        for index in sorted(self.log.state.members.awaited):
            signature = self._signature(self.operators[index], body)
            if signature:
                parts.append(wire.Endorsement(index, wire.ED25519, signature))
        if len(parts) >= self.plan.quorum:
            try:
                self.network.post(HOST, wire.assemble(body, parts), self.board.submit)
            except CeremonyError as refusal:
                self.agenda.doing["post"] = str(refusal)

    def _signature(self, operator: DrillOperator, body: bytes) -> bytes:
        if not operator.running or not self.network.connects(HOST, operator.index):
            return b""
        try:
            if operator.objection(wire.entry_of(body)):
                return b""
            return operator.log.endorse(body)
        except (WouldWaitError, CeremonyError):
            return b""
        except KilledError:
            self._killed(operator)
            return b""

    def digest(self) -> bytes:
        """Return the digest of the key set that the openings make."""
        parameters, tag = lookup(self.plan.parameters), bytes.fromhex(self.plan.ceremony_id)

        def online(index: int) -> memoryview:
            return self._openings.read(("O", index))

        bodies = bodies_of(parameters, self.layout, online)
        return key_set_digest(parameters, seed_of(online(0)), tag, bodies)

    # -- rounds -----------------------------------------------------------------------------------

    def run(self) -> Ended:
        """Run the ceremony to its end.

        Raises:
            StallError: when it does not come to one.
            BrokenError: when a rule of the protocol was broken on the way.
        """
        for operator in self.operators.values():
            operator.start()
        while not self.is_over():
            if self.rounds >= MOST_ROUNDS:
                raise StallError(self.waits())
            self.round()
        return self.ended()

    def is_over(self) -> bool:
        """Tell whether the key set is announced and everybody who is up has its share."""
        return (
            self._over
            and not self._pending
            and not self._ending
            and all(
                operator.steps.destruction.is_concluded()
                for operator in self.honest()
                if operator.running
            )
        )

    def honest(self) -> list[DrillOperator]:
        """Return the operators that do not lie."""
        liars = dict(self.schedule.liars)
        return [operator for index, operator in self.operators.items() if index not in liars]

    def ended(self) -> Ended:
        """Return what came out."""
        for operator in self.honest():
            if operator.running:
                operator.log.follow(len(self.board.entries))
        self.log.follow(len(self.board.entries))
        state = self.log.state
        self.watch.judge(state, self.plan)
        return Ended(
            digest=state.release.digest,
            setup=_setup_of(state),
            tries=tuple(str(state.status(key).name) for key in state.batches),
            rounds=self.rounds,
            entries=len(self.board.entries),
        )

    def round(self) -> None:
        """Let everybody have one turn; let time pass if nothing came of it."""
        self._disturb()
        before = len(self.board.entries)
        progress = self._coordinator()
        for operator in self._luck.sample(list(self.operators.values()), self.schedule.n):
            progress = self._turn(operator) or progress
        self._deliver()
        self.watch.judge(self.log.state, self.plan)
        if progress or len(self.board.entries) > before or self.board.covered < before:
            self._tick = 1.0
        else:
            self.clock.advance(self._tick)
            if self._is_calm():
                self._tick = min(2 * self._tick, LONGEST_TICK)
        self.rounds += 1

    def _is_calm(self) -> bool:
        return not self._pending and not self._ending

    def _coordinator(self) -> bool:
        """Let the host cover what there is, and let the coordinator have its turn."""
        if HOST in self.network.cut:
            return False
        up = sum(
            operator.running and operator.index not in self.network.cut
            for operator in self.operators.values()
        )
        if up >= self.plan.quorum:
            self.board.covered = len(self.board.entries)
        self.log.follow(self._shown(self.log))
        self._openings.fetch_unknown()
        if self._over:
            return False
        try:
            next(self._workflow)
        except StopIteration:
            self._over = True
        return self._over

    def _turn(self, operator: DrillOperator) -> bool:
        if not operator.running:
            return False
        try:
            if operator.index not in self.network.cut and HOST not in self.network.cut:
                operator.log.follow(self._shown(operator.log, lagging=operator.lagging))
            return operator.run(self._luck)
        except KilledError:
            self._killed(operator)
            return True

    def _shown(self, log: MemoryLog, *, lagging: bool = False) -> int:
        """Return how much of the covered log a party hears of now."""
        behind = self.board.covered - log.size
        if behind <= 0:
            return log.size
        if lagging or self._luck.random() < self.network.noise.lag:
            return log.size + (self._luck.randint(0, behind) if self._luck.random() < 0.1 else 0)  # noqa: PLR2004
        return self.board.covered

    def _deliver(self) -> None:
        """Let late messages arrive, in any order."""
        if HOST in self.network.cut:
            return
        waiting, self.network.late = self.network.late, []
        self._luck.shuffle(waiting)
        for envelope in waiting:
            if self._luck.random() < 0.3 or not self.network.noise.late:  # noqa: PLR2004
                self._arrive(envelope)
            else:
                self.network.late.append(envelope)

    def _arrive(self, envelope: bytes) -> None:
        try:
            self.board.submit(envelope)
        except CeremonyError as refusal:
            self.agenda.doing["late message"] = str(refusal)

    # -- disturbances -----------------------------------------------------------------------------

    def _disturb(self) -> None:
        while self._pending and self._pending[0].at <= self.rounds:
            each = self._pending.pop(0)
            self._begin(each)
            if each.rounds:
                self._ending.append(each)
        for each in [each for each in self._ending if each.at + each.rounds <= self.rounds]:
            self._ending.remove(each)
            self._end(each)
        if self._is_calm():
            self.network.noise = Noise()

    def _begin(self, each: Disturbance) -> None:
        operator = self.operators.get(each.operator)
        match each.kind:
            case Kind.HOST:
                self.network.cut.add(HOST)
            case Kind.CUT:
                self.network.cut.add(each.operator)
            case Kind.LAG if operator:
                operator.lagging = True
            case Kind.CLOCK if operator:
                operator.clock.advance(each.amount)
            case Kind.GONE if operator:
                operator.end()
            case Kind.KILL | Kind.POWER | Kind.LOSE_WORK if operator:
                operator.fuse = int(each.amount)

    def _end(self, each: Disturbance) -> None:
        operator = self.operators.get(each.operator)
        match each.kind:
            case Kind.HOST:
                self.network.cut.discard(HOST)
            case Kind.CUT:
                self.network.cut.discard(each.operator)
            case Kind.LAG if operator:
                operator.lagging = False
            case Kind.KILL | Kind.POWER | Kind.LOSE_WORK if operator:
                if operator.running:  # the fuse was too long
                    self._killed(operator)
                if operator.index not in self._gone_by_now():
                    operator.start()

    def _gone_by_now(self) -> set[int]:
        return {
            each.operator
            for each in self.schedule.disturbances
            if each.kind is Kind.GONE and each.at <= self.rounds
        }

    def _killed(self, operator: DrillOperator) -> None:
        kinds = {each.kind for each in self._ending if each.operator == operator.index}
        kinds &= set(ABSENCES)
        operator.end(power=Kind.POWER in kinds, work=Kind.LOSE_WORK in kinds)

    # -- for people -------------------------------------------------------------------------------

    def waits(self) -> str:
        """Return what everybody waits for."""
        lines = [
            (
                f"round {self.rounds}, {self.clock.now:.0f} s, {len(self.board.entries)} entries, "
                f"{self.board.covered} of them covered; coordinator sees {self.log.size}"
            ),
            f"agenda: {self.agenda.doing}",
        ]
        lines += [
            f"operator {index}: {operator.waits_for()}"
            for index, operator in self.operators.items()
        ]
        return "\n".join(lines)


def _setup_of(state: CeremonyState) -> bytes:
    """Return the digest of the references that the setup seal names."""
    assert state.setup.sealed_at is not None, "the ceremony is over"
    entry = state.log[state.setup.sealed_at].entry
    assert isinstance(entry, SetupSeal), "it is the entry that sealed"
    return entry.references


class CoveredBoard(MemoryBoard):
    """A log of which co-signed checkpoints cover a prefix; parties hear of it when they do."""

    covered = 0

    def cover(self) -> None:
        """Wait for signatures."""
