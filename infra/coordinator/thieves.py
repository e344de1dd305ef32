"""Who took orders that were another's, as the histories of workflows name it.

Whoever can connect to Temporal can poll any queue of its namespace. The order that a thief takes is
of no use to it, but its owner does not get it and is late. Workers say who they are: here what they
say is compared with whose queue it was. A thief may lie about that too; then the owner is late for
no reason that anybody sees, and only a namespace of its own keeps thieves away (ADR "What Temporal
sees, and who works where").
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from infra.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.client import Client, WorkflowExecution

__all__ = ["STOLEN", "Theft", "Thieves", "read_thefts"]

STOLEN = "RF-ORDER-006"
LOOK_SECONDS = 5.0
OVERLAP = timedelta(minutes=1)
"""How far back closed workflows are asked for again: the server's index lags behind."""

LONGEST_NAME = 40
WITHOUT_ORDERS = frozenset({"StageWorkflow"})
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Theft:
    """Orders of one party that another took.

    Attributes:
        owner: whose orders they were.
        thief: the name that the worker gave itself, in printable characters.
        orders: how many.
        since: when the first was seen, as ISO time.
    """

    owner: str
    thief: str
    orders: int
    since: str

    @property
    def party(self) -> str:
        """Both names, as progress shows them."""
        return f"{self.thief} in the place of {self.owner}"


class Thieves:
    """Looks at the histories of a ceremony from time to time."""

    def __init__(
        self,
        clients: Iterable[Client],
        ceremony_id: str,
        owners: Mapping[str, Sequence[str]],
        kept: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Compare with the owners of queues.

        Args:
            clients: one for each namespace.
            ceremony_id: with which the names of its workflows begin.
            owners: the parties that may work on a queue, by its name; the first is its owner.
            kept: file of what was found, for the report.
            now: the clock.
        """
        self._clients = tuple(clients)
        self._prefix = f"{ceremony_id}/"
        self._owners = owners
        self._kept = kept
        self._now = now
        self._since = now()
        self._done: set[str] = set()
        self._stolen: dict[str, Counter[tuple[str, str]]] = {}
        self.found: tuple[Theft, ...] = read_thefts(kept)
        self._first = {(each.owner, each.thief): each.since for each in self.found}
        self._before = Counter({(each.owner, each.thief): each.orders for each in self.found})

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except RPCError as error:
                _log.info("Temporal does not say who took which order", reason=str(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look at what runs, and at what has ended since the last look."""
        began = self._now()
        since = (self._since - OVERLAP).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = f'ExecutionStatus = "Running" OR CloseTime >= "{since}"'
        for client in self._clients:
            async for run in client.list_workflows(query):
                if run.id.startswith(self._prefix) and run.workflow_type not in WITHOUT_ORDERS:
                    await self._look_at(client, run)
        self._since = began
        self._hold()

    async def _look_at(self, client: Client, run: WorkflowExecution) -> None:
        if run.run_id in self._done:
            return
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        events = [event async for event in handle.fetch_history_events()]
        self._stolen[run.run_id] = Counter(stolen_in(events, self._owners))
        if run.status is not WorkflowExecutionStatus.RUNNING:
            self._done.add(run.run_id)

    def _hold(self) -> None:
        """Keep what was found; what an earlier process of this home found is kept too."""
        counted: Counter[tuple[str, str]] = Counter()
        for stolen in self._stolen.values():
            counted.update(stolen)
        now = self._now().isoformat(timespec="seconds")
        found = tuple(
            Theft(*names, orders, self._first.setdefault(names, now))
            for names, orders in sorted((counted | self._before).items())
        )
        if found != self.found:
            for theft in found:
                _log.error("an order was taken by somebody else", **asdict(theft))
            self.found = found
            write_atomic(self._kept, json.dumps([asdict(each) for each in found]).encode())


def stolen_in(
    events: Iterable[HistoryEvent], owners: Mapping[str, Sequence[str]]
) -> Iterable[tuple[str, str]]:
    """Yield owner and thief of every order in a history that somebody else took or answered."""
    queues: dict[int, str] = {}
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled = event.activity_task_scheduled_event_attributes
            queues[event.event_id] = scheduled.task_queue.name
            continue
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            started = event.activity_task_started_event_attributes
            place, worker = started.scheduled_event_id, started.identity
            allowed = owners.get(queues.get(place, ""), ())
            if allowed and worker not in allowed:
                yield allowed[0], _printable(worker)


def read_thefts(path: Path) -> tuple[Theft, ...]:
    """Return what the coordinator of a home found; nothing where it found nothing."""
    try:
        return tuple(Theft(**each) for each in json.loads(path.read_bytes()))
    except FileNotFoundError:
        return ()


def _printable(name: str) -> str:
    """Return a name that somebody gave itself, in a form that does nothing to a terminal."""
    shown = "".join(each if each.isascii() and each.isprintable() else "?" for each in name)
    return shown[:LONGEST_NAME] or "a worker without a name"
