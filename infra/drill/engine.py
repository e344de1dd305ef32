"""A ceremony in memory under a schedule: one thread, steps of all operators in a random order.

Every operator sees its own prefix of the log and has its own clock. A step that would wait ends and
is tried again when its operator has heard more. Time passes when nobody can do anything.

When the disturbances are over and n-t honest operators are up, the ceremony must end in a bounded
number of rounds; if it does not, the engine says what everybody waits for.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from infra.drill.accidents import Accidents
from infra.drill.arithmetic import SharedArithmetic
from infra.drill.board import CoveredBoard, MemoryLog
from infra.drill.clock import Clock
from infra.drill.coordinator import Coordinator
from infra.drill.elsewhere import another_ceremony
from infra.drill.liars import LyingOperator
from infra.drill.network import HOST, DrillLog, Network
from infra.drill.operator import DrillOperator, KilledError
from infra.drill.peers import unreachable
from infra.drill.site import parties_of
from infra.drill.trace import Trace
from infra.drill.watch import BrokenError, Watch
from mpc_core.protocol.entries import Blame, Correction, SetupSeal
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.drill.peers import Reachable
    from infra.drill.schedule import Schedule
    from infra.drill.site import Parties
    from mpc_core.adversary.elsewhere import Elsewhere
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Ended", "Engine", "StallError"]

MOST_ROUNDS = 3000
"""Rounds in which every ceremony ends."""
LONGEST_TICK = 64.0
_LONGEST_QUIET = 4
"""Rounds with words of liars only, after which time passes: they may go on for ever."""


class StallError(Exception):
    """A ceremony does not end although n-t honest operators are up."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A ceremony that came to its end.

    Attributes:
        digest: of the key set.
        setup: digest of the references that the setup seal names.
        burnt: the batches that a valid blame or correction killed: with the setup they decide the
            key set, whatever else happened.
        rounds: how many the engine took.
        entries: size of the log.
        trace: digest of the events; a seed gives the same one again.
    """

    digest: bytes
    setup: bytes
    burnt: tuple[str, ...]
    rounds: int
    entries: int
    trace: str


class Engine:
    """A ceremony under a schedule; the `Site` of its operators."""

    def __init__(self, schedule: Schedule, parties: Parties | None = None) -> None:
        """Set a ceremony up, of the usual parties unless others are given; nothing runs yet."""
        parties = parties or parties_of(schedule.n, schedule.t)
        self.schedule, self.parties = schedule, parties
        self.plan, self.layout = parties.plan, parties.layout
        self.identities, self.seeds = parties.identities, parties.seeds
        self.root = parties.root
        self.clock = Clock()
        self.board = CoveredBoard(self.plan)
        self.network = Network(schedule.seed, schedule.noise)
        self.watch = Watch(frozenset(index for index, _ in schedule.liars))
        self.arithmetic = SharedArithmetic()
        self.trace = Trace()
        self.rounds = 0
        self._luck = random.Random(f"engine {schedule.seed}")  # noqa: S311 - no secret
        self._tick, self._quiet = 1.0, 0
        self.accidents = Accidents(self)
        self.operators = {index: self._seated(index) for index in range(1, schedule.n + 1)}
        self.coordinator = Coordinator(self)

    def _seated(self, index: int) -> DrillOperator:
        lie = dict(self.schedule.liars).get(index)
        if lie is None:
            return DrillOperator(self, index)
        luck = random.Random(f"liar {self.schedule.seed} {index}")  # noqa: S311 - no secret
        return LyingOperator(self, index, lie, luck)

    # -- what operators see -----------------------------------------------------------------------

    def reach(self, index: int) -> Reachable | None:
        """Return a party that is up; 0 is the coordinator."""
        if not index:
            return cast("Reachable", self.coordinator)
        operator = self.operators.get(index)
        return operator if operator is not None and operator.running else None

    def gossip(self, sender: int, receiver: int, envelope: bytes) -> None:
        """Bring an entry from one operator to another, past the board.

        Raises:
            CeremonyError: RF-PEER-090, if it does not arrive.
        """
        operator = self.operators[receiver]
        if not operator.running or not self.network.connects(sender, receiver):
            raise unreachable(receiver)
        operator.hear(envelope)

    @contextmanager
    def called(self, index: int) -> Iterator[None]:
        """Have a call of an operator fail when its process ends while it answers."""
        try:
            yield
        except KilledError as killed:
            if killed.operator.index != index:
                raise
            self.accidents.kill(killed.operator)
            raise unreachable(index) from None

    def elsewhere(self) -> Elsewhere:
        """Return what the same operators said in another ceremony."""
        return another_ceremony(type(self), self.schedule.n)  # type: ignore[arg-type]

    def seen_at_start(self, operator: DrillOperator) -> int:
        """Return how much of the log a starting operator is shown first."""
        del operator
        return self._luck.choice((0, self.board.covered))

    @property
    def log(self) -> DrillLog:
        """The coordinator's copy of the log."""
        return self.coordinator.log

    def party(self, index: int) -> DrillOperator:
        """Return an operator."""
        return self.operators[index]

    # -- rounds -----------------------------------------------------------------------------------

    def run(self) -> Ended:
        """Run the ceremony to its end.

        Raises:
            StallError: when it does not come to one.
            BrokenError: when a rule of the protocol was broken on the way.
        """
        for operator in self.operators.values():
            operator.start()
        return self.go_on_to_the_end()

    def go_on_to_the_end(self) -> Ended:
        """Run a ceremony that has begun to its end.

        Raises:
            StallError: when it does not come to one.
            BrokenError: when a rule of the protocol was broken on the way.
        """
        last = self.rounds + MOST_ROUNDS
        while not self.is_over():
            if self.rounds >= last:
                raise StallError(self.waits())
            self.round()
        return self.ended()

    def is_over(self) -> bool:
        """Tell whether the key set is announced and everybody who is up has its share."""
        return (
            self.coordinator.over
            and self.accidents.are_over
            and all(
                operator.steps.destruction.is_concluded()
                for operator in self.honest()
                if operator.running and operator.index not in self.accidents.bereft
            )
        )

    def honest(self) -> list[DrillOperator]:
        """Return the operators that do not lie."""
        liars = dict(self.schedule.liars)
        return [operator for index, operator in self.operators.items() if index not in liars]

    def ended(self) -> Ended:
        """Return what came out.

        Raises:
            BrokenError: when the whole log shows that a rule was broken, or shows an operator
                something else than the coordinator.
        """
        self.log.follow(len(self.board.entries))
        state = self.log.state
        for operator in self.honest():
            if operator.running and operator.index not in self.accidents.bereft:
                operator.log.follow(len(self.board.entries))
                self.watch.judge_the_end(operator.log.state, self.plan)
                self.watch.judge_what_is_left(operator)
                dark = operator.log.state.awaiting_v  # it came back when all was over
                if not dark and _found(operator.log.state) != _found(state):
                    raise BrokenError(f"operator {operator.index} found something else on the log")
        self.watch.judge_the_end(state, self.plan)
        return Ended(
            digest=state.release.digest,
            setup=_setup_of(state),
            burnt=_burnt_in(state),
            rounds=self.rounds,
            entries=len(self.board.entries),
            trace=self.trace.digest,
        )

    def round(self) -> None:
        """Let everybody have one turn; let time pass if nothing came of it."""
        self.accidents.happen()
        before = len(self.board.entries)
        progress = self._host()
        for operator in self._luck.sample(list(self.operators.values()), self.schedule.n):
            progress = self._turn(operator) or progress
        self._deliver()
        self.watch.judge(self.log.state, self.plan)
        self._trace(before)
        self._quiet = 0 if self._is_news(before) else self._quiet + 1
        busy = progress or len(self.board.entries) > before or self.board.covered < before
        if busy and self._quiet <= _LONGEST_QUIET:
            self._tick = 1.0
        else:
            self.clock.advance(self._tick)
            if self.accidents.are_over:
                self._tick = min(2 * self._tick, LONGEST_TICK)
        self.rounds += 1

    def _is_news(self, before: int) -> bool:
        """Tell whether anybody but liars has said something."""
        return any(set(log.signers) - self.watch.liars for log in self.board.entries[before:])

    def _trace(self, before: int) -> None:
        running = [each.log.size if each.running else -1 for each in self.operators.values()]
        self.trace.note(self.rounds, self.clock.now, self.board.covered, running)
        self.trace.note_entries(self.board.entries[before:])

    def _host(self) -> bool:
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
        return self.coordinator.turn()

    def _turn(self, operator: DrillOperator) -> bool:
        if not operator.running:
            return False
        with self.accidents.survived():
            if operator.index not in self.network.cut and HOST not in self.network.cut:
                operator.log.follow(self._shown(operator.log, lagging=operator.lagging))
            return operator.run(self._luck)
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
        if HOST in self.network.cut or self.board.held:
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
            self.coordinator.agenda.doing["late message"] = str(refusal)

    # -- for people -------------------------------------------------------------------------------

    def waits(self) -> str:
        """Return what everybody waits for."""
        lines = [
            (
                f"round {self.rounds}, {self.clock.now:.0f} s, {len(self.board.entries)} entries, "
                f"{self.board.covered} of them covered; coordinator sees {self.log.size}"
            ),
            f"agenda: {self.coordinator.agenda.doing}",
        ]
        lines += [
            f"operator {index}: {operator.waits_for()}"
            for index, operator in self.operators.items()
        ]
        return "\n".join(lines)


def _found(state: CeremonyState) -> tuple[object, ...]:
    """Return what everybody must find on the same log."""
    statuses = [(each.name, each.v_root) for each in map(state.status, state.batches)]
    return (state.members.excluded, state.members.written_off, state.release.digest, statuses)


def _burnt_in(state: CeremonyState) -> tuple[str, ...]:
    """Return the batches that a valid blame or correction killed, by name."""
    void = {each.position for each in state.voids}
    return tuple(
        sorted(
            str(log.entry.batch)
            for log in state.log
            if isinstance(log.entry, Blame | Correction) and log.position not in void
        )
    )


def _setup_of(state: CeremonyState) -> bytes:
    """Return the digest of the references that the setup seal names."""
    assert state.setup.sealed_at is not None, "the ceremony is over"
    entry = state.log[state.setup.sealed_at].entry
    assert isinstance(entry, SetupSeal), "it is the entry that sealed"
    return entry.references
