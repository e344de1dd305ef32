"""What a schedule does to a ceremony in memory, and whom it has hit for good."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from activities.rejoin import approval_name
from infra.drill.network import HOST
from infra.drill.operator import KilledError
from infra.drill.schedule import Kind, Noise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.drill.engine import Engine
    from infra.drill.operator import DrillOperator
    from infra.drill.schedule import Disturbance

__all__ = ["Accidents"]

_ABSENCES = (Kind.KILL, Kind.POWER, Kind.LOSE_WORK, Kind.LOSE_VAULT)


class Accidents:
    """The disturbances of a ceremony: those to come, and those that have not ended.

    Attributes:
        bereft: operators that lost everything but their identity, and are let in again by people.
    """

    def __init__(self, engine: Engine) -> None:
        """Take what the schedule says; nothing happens yet."""
        self._engine = engine
        self._pending = list(engine.schedule.disturbances)
        self._ending: list[Disturbance] = []
        self._gone: set[int] = set()
        self.bereft: set[int] = set()

    @property
    def are_over(self) -> bool:
        """Whether nothing is to come and nothing goes on."""
        return not self._pending and not self._ending

    def happen(self) -> None:
        """Begin and end what is due in this round, and let people do what falls to them."""
        rounds = self._engine.rounds
        while self._pending and self._pending[0].at <= rounds:
            self.begin(self._pending.pop(0))
        for each in [each for each in self._ending if each.at + each.rounds <= rounds]:
            self._end(each)
            self._ending.remove(each)
        if self.are_over:
            self._engine.network.noise = Noise()
        self._readmit()

    def begin(self, each: Disturbance) -> None:
        """Begin a disturbance now, and note its end."""
        self._begin(each)
        if each.rounds:
            self._ending.append(each)

    def _begin(self, each: Disturbance) -> None:
        engine = self._engine
        operator = engine.operators.get(each.operator)
        match each.kind:
            case Kind.HOST:
                engine.network.cut.add(HOST)
            case Kind.DISORDER:
                engine.coordinator.lies = True
            case Kind.CUT:
                engine.network.cut.add(each.operator)
            case Kind.LAG if operator:
                operator.lagging = True
            case Kind.CLOCK if operator:
                operator.clock.advance(each.amount)
            case Kind.GONE if operator:
                self._gone.add(each.operator)
                operator.end()
            case kind if operator and kind in _ABSENCES:
                operator.fuse = int(each.amount)

    def _end(self, each: Disturbance) -> None:
        engine = self._engine
        operator = engine.operators.get(each.operator)
        match each.kind:
            case Kind.HOST:
                engine.network.cut.discard(HOST)
            case Kind.DISORDER:
                engine.coordinator.lies = False
            case Kind.CUT:
                engine.network.cut.discard(each.operator)
            case Kind.LAG if operator:
                operator.lagging = False
            case kind if operator and kind in _ABSENCES:
                self._bring_back(operator)

    def _bring_back(self, operator: DrillOperator) -> None:
        if operator.running:  # the fuse was too long
            self.kill(operator)
        if operator.index not in self._gone:
            operator.start()
        if operator.index in self.bereft:
            operator.give_up()

    def _readmit(self) -> None:
        """Let people approve the return of operators that lost everything but their identity."""
        for index in sorted(self.bereft):
            seat = self._engine.operators[index].steps.seat
            if not self._engine.operators[index].running or not seat.is_out():
                continue
            key = seat.key_digest()
            assert key is not None, "who is out has a key to ask with"
            for other in self._engine.honest():
                if other.running and other.vault.read(approval_name(index)) != key:
                    with self.survived():
                        other.approve(index, key)

    @contextmanager
    def survived(self) -> Iterator[None]:
        """Let what is done end where it kills a process of an operator, and go on after it."""
        try:
            yield
        except KilledError as killed:
            self.kill(killed.operator)

    def kill(self, operator: DrillOperator) -> None:
        """End an operator's process in the way that the schedule says."""
        kinds = {each.kind for each in self._ending if each.operator == operator.index}
        if Kind.LOSE_VAULT in kinds:
            self.bereft.add(operator.index)
        operator.end(
            power=Kind.POWER in kinds,
            work=Kind.LOSE_WORK in kinds,
            vault=Kind.LOSE_VAULT in kinds,
        )
