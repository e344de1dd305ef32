"""The coordinator's agenda in a drill: what the workflows order, as generators that a drill steps.

Each generator follows the workflow of the same name: it looks at a view of the coordinator's own
log, gives orders and yields where the workflow would wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from infra.coordinator.views import batch_view, is_overdue, seal_view, setup_view
from infra.party.rules import batch_counts
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.statements import Done, Due, due_statement

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from activities.steps import Steps
    from infra.drill.board import MemoryLog
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.state import CeremonyState
    from workflows.contracts import BatchView, SealView

__all__ = ["STEP_OF_PHASE", "Agenda", "Desk", "Order", "orders_of"]

Workflow = "Generator[None, None, None]"

STEP_OF_PHASE = {
    "kem-keys": "announce_kem_key",
    "contributions": "contribute",
    "complaints": "examine",
    "acknowledgements": "acknowledge",
}
"""What operators are ordered to do in a phase of the key setup."""


class Order(Protocol):
    """An order that was given."""

    done: bool


class Desk(Protocol):
    """What the agenda works with: the coordinator's log, and a way to reach the operators."""

    layout: CeremonyLayout

    @property
    def log(self) -> MemoryLog:
        """The coordinator's own copy of the log."""
        ...

    def order(self, index: int, name: str, act: Callable[[Steps], None]) -> Order:
        """Give an operator an order; it stays until it was followed."""
        ...

    def gather(self, entry: Entry) -> None:
        """Ask the operators for their signatures under a statement; post it with n-t of them."""
        ...

    def digest(self) -> bytes:
        """Return the digest of the key set that the openings make."""
        ...


class Agenda:
    """The workflows of a ceremony.

    Attributes:
        doing: what is waited for now, for people.
    """

    def __init__(self, desk: Desk) -> None:
        """Begin an agenda; nothing happens before it is stepped."""
        self._desk = desk
        self._everyone = sorted(desk.log.state.quorum.everyone)
        self.doing: dict[str, str] = {}

    @property
    def _state(self) -> CeremonyState:
        return self._desk.log.state

    def ceremony(self) -> Generator[None, None, None]:
        """Create one key set."""
        bodies = batch_counts(self._desk.layout)["bodies"]
        yield from self.keys()
        yield from _together([self.stage("N"), self._key_bits_and_products()])
        yield from self.seal()
        yield from self.present("secure")
        yield from self.stage("O", 0, 1)
        yield from self.stage("O", 1, bodies)
        yield from self.present("rebuild")
        yield from self.state("key-set", lambda: self._desk.digest().hex())
        yield from self.stage("O", bodies)
        yield from self.state("announcement")
        yield from self.present("conclude")

    def _key_bits_and_products(self) -> Generator[None, None, None]:
        yield from self.stage("S")
        yield from self.stage("M")

    def keys(self) -> Generator[None, None, None]:
        """Run the key setup up to its seal."""
        ordered = ""
        while True:
            view = setup_view(self._state, self._desk.log.seconds_since_covered)
            self.doing["setup"] = f"{view.phase} {view.slot}"
            if view.phase == "sealed":
                del self.doing["setup"]
                return
            slot = "" if view.phase == "kem-keys" else view.slot
            if view.phase in STEP_OF_PHASE and ordered != f"{view.phase} {slot}":
                ordered, step = f"{view.phase} {slot}", STEP_OF_PHASE[view.phase]
                for index in self._everyone:
                    self._order_step(index, step)
            if view.slot:
                yield from self.state("close", _just(view.slot))
            elif view.ready:
                yield from self.state("setup-seal")
            elif view.silent:
                yield from self._write_off(view.silent, view.summoned)
            yield

    def stage(
        self, stage: str, first: int = 0, last: int | None = None
    ) -> Generator[None, None, None]:
        """Settle the batches of a stage, all in flight at once."""
        end = len(self._desk.layout.stage(stage)) if last is None else last
        yield from _together([self.batch((stage, index)) for index in range(first, end)])

    def batch(self, key: BatchKey) -> Generator[None, None, None]:
        """Settle one batch."""
        ordered: set[tuple[str, str, int, int]] = set()
        while True:
            view = batch_view(self._state, key, self._desk.log.seconds_since_covered)
            self.doing[f"{key[0]}-{key[1]}"] = f"{view.step} of round {view.round}"
            if view.step == "settled":
                del self.doing[f"{key[0]}-{key[1]}"]
                return
            for step, index, number in orders_of(view):
                occasion = (view.name, step, index, number)
                if occasion not in ordered:
                    ordered.add(occasion)
                    self._order_batch(index, step, key, number)
            if view.close:
                yield from self.state("close", _just(view.close))
            yield

    def seal(self) -> Generator[None, None, None]:
        """Bring every batch to completion and gather the seal."""
        asked: set[int] = set()
        while True:
            view = seal_view(self._state, self._desk.log.seconds_since_covered)
            self.doing["seal"] = f"owing {view.owing}, silent {view.silent}"
            if view.sealed:
                del self.doing["seal"]
                return
            asked -= set(view.silent)
            for index in sorted(set(view.owing) - asked):
                self._desk.order(index, "catch up", lambda steps: steps.catch_up())
                asked.add(index)
            yield from self._towards_the_seal(view)
            yield

    def _towards_the_seal(self, view: SealView) -> Generator[None, None, None]:
        if view.ready:
            yield from self.state("seal")
        elif view.close:
            yield from self.state("close", _just(view.close))
        elif view.silent and not view.owing:
            yield from self._write_off(view.silent, view.summoned)

    def present(self, step: str) -> Generator[None, None, None]:
        """Order a step from whoever is or becomes present; go on when n-t have done it."""
        ordered: dict[int, Order] = {}
        self.doing[step] = "n-t operators"
        while sum(order.done for order in ordered.values()) < self._state.quorum.n_minus_t:
            for index in sorted(self._state.members.awaited - ordered.keys()):
                ordered[index] = self._order_step(index, step)
            yield
        del self.doing[step]

    def state(
        self, kind: str, subject: Callable[[], str] = lambda: ""
    ) -> Generator[None, None, None]:
        """Gather n-t signatures for a statement; return when the log has it."""
        while True:
            due = self._due(kind, subject)
            self.doing[f"statement {kind}"] = str(due)[:80]
            if isinstance(due, Done):
                del self.doing[f"statement {kind}"]
                return
            if isinstance(due, Due) and self._has_waited(kind, subject(), due):
                self._desk.gather(due.entry)
            yield

    def _due(self, kind: str, subject: Callable[[], str]) -> object:
        try:
            return due_statement(self._state, kind, subject())
        except CeremonyError as refusal:
            return refusal  # an opened value is not here yet

    def _has_waited(self, kind: str, subject: str, due: Due) -> bool:
        covered = self._desk.log.seconds_since_covered
        if kind == "write-off":
            return covered(due.since) >= self._state.plan.deadlines.waiting_seconds
        return is_overdue(self._state, kind, subject, covered)

    def _write_off(self, silent: list[int], summoned: list[int]) -> Generator[None, None, None]:
        yield from _together([self._write_one_off(each, summoned) for each in silent])

    def _write_one_off(self, index: int, summoned: list[int]) -> Generator[None, None, None]:
        if index not in summoned:
            yield from self.state("summons", _just(str(index)))
        yield from self.state("write-off", _just(str(index)))

    def _order_step(self, index: int, step: str) -> Order:
        return self._desk.order(index, step, lambda steps: steps.step(step))

    def _order_batch(self, index: int, step: str, key: BatchKey, number: int) -> None:
        name = f"{step} {key[0]}-{key[1]} round {number}"
        acts: dict[str, Callable[[Steps], None]] = {
            "share": lambda steps: steps.share(key),
            "decode": lambda steps: steps.decode(key, number),
            "answer": lambda steps: steps.answer(key, number),
        }
        self._desk.order(index, name, acts[step])


def orders_of(view: BatchView) -> list[tuple[str, int, int]]:
    """Return the orders (step, operator, round) that a batch waits for."""
    if view.step == "decode" and view.decoder:
        return [("decode", view.decoder, view.round)]
    if view.step in {"share", "answer"}:
        number = view.round if view.step == "answer" else 0
        return [(view.step, index, number) for index in view.present]
    return []


def _just(subject: str) -> Callable[[], str]:
    return lambda: subject


def _together(workflows: Iterable[Generator[None, None, None]]) -> Generator[None, None, None]:
    """Step several workflows in turns until all have ended."""
    running = list(workflows)
    while running:
        running = [workflow for workflow in running if _goes_on(workflow)]
        if running:
            yield


def _goes_on(workflow: Generator[None, None, None]) -> bool:
    try:
        next(workflow)
    except StopIteration:
        return False
    return True
