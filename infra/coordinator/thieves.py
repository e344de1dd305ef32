"""Who took orders that were another's, as the histories of workflows name it.

Whoever can connect to Temporal can poll any queue of its namespace. The order that a thief takes is
of no use to it, but its owner does not get it and is late. Workers say who they are: here what they
say is compared with whose queue it was. A thief may lie about that too; then the owner is late for
no reason that anybody sees, and only a namespace of its own keeps thieves away (ADR "What Temporal
sees, and who works where").
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from temporalio.api.common.v1 import WorkflowExecution as Execution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from infra.findings import read_findings, write_findings

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

PAGE_EVENTS = 32
"""Of a history, read from its end: one page where nothing is new."""

LONGEST_NAME = 40
WITHOUT_ORDERS = frozenset({"StageWorkflow"})
ABOUT_ORDERS = frozenset(
    {
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED,
    }
)
"""Events that stay as they are; those of a step that a workflow repeats may change."""

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


@dataclass(slots=True)
class _Reading:
    """How far the history of a run was read.

    Attributes:
        last: number of the last event about an order.
        queues: of the orders that nobody has taken, by the number of the event that gave them.
    """

    last: int = 0
    queues: dict[int, str] = field(default_factory=dict)


class Thieves:
    """Looks at the histories of a ceremony from time to time; each event is read once."""

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
        self._readings: dict[str, _Reading] = {}
        self._stolen: Counter[tuple[str, str]] = Counter()
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
        reading = self._readings.setdefault(run.run_id, _Reading())
        events = await _events_after(client, run, reading.last)
        self._stolen.update(stolen_in(events, self._owners, reading.queues))
        orders = (event.event_id for event in events if event.event_type in ABOUT_ORDERS)
        reading.last = max(orders, default=reading.last)
        if run.status is not WorkflowExecutionStatus.RUNNING:
            self._done.add(run.run_id)
            del self._readings[run.run_id]

    def _hold(self) -> None:
        """Keep what was found; what an earlier process of this home found is kept too."""
        now = self._now().isoformat(timespec="seconds")
        found = tuple(
            Theft(*names, orders, self._first.setdefault(names, now))
            for names, orders in sorted((self._stolen | self._before).items())
        )
        if found != self.found:
            for theft in found:
                _log.error("an order was taken by somebody else", **asdict(theft))
            self.found = found
            write_findings(self._kept, found)


async def _events_after(client: Client, run: WorkflowExecution, last: int) -> list[HistoryEvent]:
    """Return the events of a run beyond the one with this number, read from the newest one on."""
    found: list[HistoryEvent] = []
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace,
        execution=Execution(workflow_id=run.id, run_id=run.run_id),
        maximum_page_size=PAGE_EVENTS,
    )
    while True:
        page = await client.workflow_service.get_workflow_execution_history_reverse(request)
        new = [event for event in page.history.events if event.event_id > last]
        found += new
        if len(new) < len(page.history.events) or not page.next_page_token:
            return found[::-1]
        request.next_page_token = page.next_page_token


def stolen_in(
    events: Iterable[HistoryEvent],
    owners: Mapping[str, Sequence[str]],
    queues: dict[int, str],
) -> Iterable[tuple[str, str]]:
    """Yield owner and thief of every order in a history that somebody else took or answered.

    Args:
        events: what is new in it.
        owners: the parties that may work on a queue, by its name; the first is its owner.
        queues: of the orders before, which nobody had taken yet; kept up to date.
    """
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled = event.activity_task_scheduled_event_attributes
            queues[event.event_id] = scheduled.task_queue.name
            continue
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            started = event.activity_task_started_event_attributes
            allowed = owners.get(queues.pop(started.scheduled_event_id, ""), ())
            worker = started.identity
            if allowed and worker not in allowed:
                yield allowed[0], _printable(worker)


def read_thefts(path: Path) -> tuple[Theft, ...]:
    """Return what the coordinator of a home found; nothing where it found nothing."""
    return read_findings(path, Theft)


def _printable(name: str) -> str:
    """Return a name that somebody gave itself, in a form that does nothing to a terminal."""
    shown = "".join(each if each.isascii() and each.isprintable() else "?" for each in name)
    return shown[:LONGEST_NAME] or "a worker without a name"
