"""An operator in a drill of schedules: it is killed at any write, and its orders are repeated."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, cast

from infra.drill.board import WouldWaitError
from infra.drill.clock import SkewedClock
from infra.drill.network import DrillLog, DrillPeers
from infra.drill.party import Party
from infra.drill.site import drill_state
from infra.drill.watch import WatchedBatches, WatchedOperator
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from activities.arithmetic import KnownValues
    from activities.steps import Steps
    from infra.drill.engine import Engine
    from infra.drill.stores import MemoryStagedBlob
    from mpc_core.protocol.entries import Entry

__all__ = ["DrillOperator", "KilledError", "Task"]

_PRESENCE_SECONDS = 5.0
_RETRY_SECONDS = 1.0


class KilledError(BaseException):
    """The process of an operator ends here; nothing in it may catch this."""

    def __init__(self, operator: DrillOperator) -> None:
        """Say whose process ends: it may be that of who was called, not of who calls."""
        super().__init__(operator.name)
        self.operator = operator


@dataclass
class Task:
    """An order, repeated until it was followed.

    Attributes:
        name: for people.
        act: what is ordered.
        done: whether it was followed.
        waits: what it said last, "" before it was tried.
        pointless: whether it is tried once only.
    """

    name: str
    act: Callable[[Steps], None]
    done: bool = False
    waits: str = ""
    pointless: bool = False
    _news: int = -1
    _again_at: float = 0.0

    def ready(self, news: int, now: float) -> bool:
        """Tell whether trying again may make a difference."""
        return news > self._news and now >= self._again_at

    def run(self, steps: Steps, news: int, now: float) -> bool:
        """Follow the order as far as possible; return whether it is done."""
        self._again_at = 0.0
        try:
            self.act(steps)
        except WouldWaitError as wait:
            self.waits, self._news = str(wait), news
        except CeremonyError as refusal:
            self.waits, self._news = str(refusal), -1
            self._again_at = now + _RETRY_SECONDS
        else:
            self.waits, self.done = "", True
        return self.done

    def give_again(self) -> None:
        """Give the order to a new process: the one that waited is gone, and its log with it."""
        self._news = -1


class DrillOperator(Party):
    """One operator among disturbances.

    Attributes:
        tasks: the orders it has not followed yet.
        fuse: writes and messages until it is killed, None if it is not to be.
        restart_at: round in which it is started again.
        lagging: whether it hears little of the log.
        unheard: the last refusal of what it was made to say or do, for people.
    """

    site: Engine
    log: DrillLog
    kind_of_log: type[DrillLog] = DrillLog
    unheard: str = ""

    def __init__(self, site: Engine, index: int) -> None:
        """Take a seat; nothing runs yet."""
        super().__init__(site, index)
        self.tasks: list[Task] = []
        self.fuse: int | None = None
        self.restart_at: int | None = None
        self.lagging = False
        self.clock = SkewedClock(true=site.clock)
        self.alter = self._watched
        self._unasked = Task("what is done unasked", lambda _: self._go_on())
        self._looked_at = (-1, 0.0)
        for port in (self.vault, self.work, self.blobs):
            port.touched = self.touched
        self.vault.touched = self._touched_in_vault
        self.blobs.served = self._served

    def start(self) -> None:
        """Start the operator's process; the orders that it has not followed are given again."""
        super().start()
        for task in self.tasks:
            task.give_again()

    def touched(self, what: str) -> None:
        """Note a write or a message before it happens; it may be the last thing before the kill."""
        del what
        if self.fuse is not None and self.running:
            self.fuse -= 1
            if self.fuse < 0:
                raise KilledError(self)

    def _touched_in_vault(self, what: str) -> None:
        self.touched(what)
        verb, _, name = what.partition(" ")
        if verb == "remove" and self.running:
            self.site.watch.removes(self, name)

    def _follow(self, known: KnownValues) -> DrillLog:
        site = self.site
        log = self.kind_of_log(
            site.plan,
            site.board,
            drill_state(site.plan, site.layout, known, site.arithmetic),
            self.clock,
            (self.index, site.identities[self.name]),
            seen=site.seen_at_start(self),
        )
        log.network, log.touched = site.network, self.touched
        log.signing = lambda entry: site.watch.posts(self, entry)
        return log

    def _operator(self, known: KnownValues) -> WatchedOperator:
        plain = super()._operator(known)
        parts = {each.name: getattr(plain, each.name) for each in fields(plain) if each.init}
        return WatchedOperator(**parts, derived={})

    def _watched(self, steps: Steps) -> Steps:
        operator = cast("WatchedOperator", steps.operator)
        return steps.with_batches(WatchedBatches(operator, blobs=self.blobs))

    def _peers(self) -> DrillPeers:
        site = self.site
        return DrillPeers(
            self.blobs, site.reach, self.enclave, site.network, self.index, site.called
        )

    def _served(self, blob: MemoryStagedBlob, label: str) -> None:
        self.site.watch.serves(self, blob, label)

    def run(self, luck: random.Random) -> bool:
        """Try everything that may make progress; return whether something was done."""
        progress = False
        now, size = self.site.clock.now, self.log.news
        self.log.offer_what_was_heard()
        turns = [task for task in self.tasks if task.ready(size, now)]
        if self._unasked_is_due():
            turns.append(self._unasked)
        luck.shuffle(turns)
        for task in turns:
            progress = task.run(self.steps, size, now) or progress
            if task is not self._unasked and (task.done or task.pointless):
                self.tasks.remove(task)
        self._unasked.done = False
        return progress

    def _unasked_is_due(self) -> bool:
        size, at = self._looked_at
        waits = self.log.news == size and self.site.clock.now < at + _PRESENCE_SECONDS
        if waits and not self.steps.stock.lacks():
            return False
        self._looked_at = (self.log.news, self.site.clock.now)
        return True

    def _go_on(self) -> None:
        self.presence.once()

    def hear(self, envelope: bytes) -> None:
        """Take an entry that another operator sent directly: the log gets it too."""
        self.log.heard.append(envelope)

    def end(self, *, power: bool = False, work: bool = False, vault: bool = False) -> None:
        """End the process; disks, or what was not written durably, may be lost."""
        self.fuse = None
        if self.running:
            self.stop()
        if power:
            for store in (self.vault, self.work):
                store.lose_power()
            self.blobs.kept.clear()
        if work:
            self.lose_work()
        if vault:
            self.lose_vault()

    def serve(self, asker: int, root: bytes) -> bytes | None:
        """Answer a call for a blob."""
        del asker
        found = self.blobs.read_if_here(root)
        return None if found is None else bytes(found)

    def objection(self, entry: Entry) -> str:
        """Return why it does not sign a statement, "" if it does."""
        return self.steps.objection(entry)

    def waits_for(self) -> str:
        """Return what this operator waits for, for people."""
        if not self.running:
            return "it does not run"
        waits = [f"{task.name}: {task.waits}" for task in (*self.tasks, self._unasked)]
        return f"sees {self.log.size} entries; " + "; ".join(waits)
