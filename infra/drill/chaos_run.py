"""One ceremony under a schedule of disturbances, and what came of each.

Whatever is down is started again after its outage, as a machine's own supervisor would; nothing is
told to the others. A disturbance is over when its victims are back, and the ceremony has resumed
when it makes the next step after that.
"""

from __future__ import annotations

import heapq
import itertools
import signal
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import psutil

from infra.drill import chaos_damage as damage
from infra.drill.chaos_schedule import DATABASE, Disturbance, Kind
from infra.files import write_atomic
from infra.plan.keys import COORDINATOR
from infra.sandbox import events
from infra.sandbox.processes import Exited
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from infra.drill.chaos_site import Site

__all__ = ["Happened", "Outcome", "Run", "StuckError"]

NEEDS_PEOPLE = "RF-RECOVER-"
"""Codes with which an operator ends whose vault is damaged, until people let it in again."""

NO_DATABASE = "RF-LOG-010"
"""Code with which a coordinator ends that is started while its database is down."""

NEEDS_PROCESS = {Kind.KILL, Kind.STOP, Kind.FULL_DISK}
"""What can be done to a process that runs, and to no other."""

AGAIN_SECONDS = 2.0
"""After which a process that ended by itself is started again."""

TICK_SECONDS = 1.0


class StuckError(Exception):
    """A ceremony makes no step any more although everything runs; the message says where it is."""


@dataclass(slots=True)
class Happened:
    """A disturbance that came, and when the ceremony went on.

    Attributes:
        disturbance: what was done.
        detail: to which file.
        over: when the victims were back, in seconds of a clock that never goes back.
        resumed: when the ceremony made its next step, or None.
    """

    disturbance: Disturbance
    detail: str = ""
    over: float | None = None
    resumed: float | None = None
    waiting_for: set[str] = field(default_factory=set)

    @property
    def seconds(self) -> float | None:
        """From the end of the outage to the next step of the ceremony."""
        if self.over is None or self.resumed is None:
            return None
        return self.resumed - self.over


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a ceremony went through.

    Attributes:
        happened: the disturbances that came before its end.
        ended: processes that ended by themselves, with the reason.
        lost: operators that a damaged vault kept from going on.
        steps: when each step or batch was finished.
    """

    happened: tuple[Happened, ...]
    ended: tuple[str, ...]
    lost: tuple[str, ...]
    steps: tuple[float, ...]


class Run:
    """Conducts one ceremony."""

    def __init__(
        self,
        site: Site,
        schedule: Sequence[Disturbance],
        say: Callable[[str], None],
        patience_seconds: float,
    ) -> None:
        """Prepare.

        Args:
            site: the processes; none runs yet.
            schedule: what is done to them.
            say: takes a line for each disturbance.
            patience_seconds: how long a ceremony in which everything runs may make no step.
        """
        self._site = site
        self._say = say
        self._patience = patience_seconds
        self._schedule = deque(schedule)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._down: dict[str, int] = {}
        self._killed: set[int] = set()
        self._without_database: set[int] = set()
        self._failures: dict[str, events.Failed] = {}
        self._done: dict[str, int] = {}
        self._steps: list[float] = []
        self._happened: list[Happened] = []
        self._ended: list[str] = []
        self._robbed: set[str] = set()
        self._lost: set[str] = set()
        self._last_step = time.monotonic()
        self._waits = ""
        self._finished = False

    def run(self) -> Outcome:
        """Run the ceremony to its end.

        Raises:
            StuckError: when it makes no step for as long as the patience lasts.
        """
        self._site.start_all()
        while not self._finished:
            self._do_what_is_due()
            self._arm()
            until = min(self._due[0][0] if self._due else float("inf"), self._now + TICK_SECONDS)
            message = self._site.next_message(until)
            if isinstance(message, Exited):
                self._noticed_end(message)
            elif message is not None:
                self._heard(message.name, message.text)
            self._check_servers()
            self._check_patience()
        return Outcome(
            tuple(self._happened),
            tuple(self._ended),
            tuple(sorted(self._lost)),
            tuple(self._steps),
        )

    @property
    def _now(self) -> float:
        return time.monotonic()

    # -- what is done -----------------------------------------------------------------------------

    def _arm(self) -> None:
        """Set the alarm for every disturbance whose point is reached."""
        while self._schedule and self._schedule[0].point <= sum(self._done.values()):
            disturbance = self._schedule.popleft()
            self._at(self._now + disturbance.delay, partial(self._disturb, disturbance))

    def _at(self, moment: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (moment, next(self._order), act))

    def _do_what_is_due(self) -> None:
        while self._due and self._due[0][0] <= self._now:
            heapq.heappop(self._due)[2]()

    def _disturb(self, disturbance: Disturbance) -> None:
        if not self._hits(disturbance):
            self._say(
                f"{sum(self._done.values()):>3} steps  {disturbance}  is down, does not count"
            )
            return
        happened = Happened(disturbance)
        act = {
            Kind.KILL: self._kill,
            Kind.STOP: self._stop,
            Kind.LOSE_WORK: self._lose_work,
            Kind.FLIP_WORK: self._flip_work,
            Kind.FLIP_SHARED: self._flip_shared,
            Kind.FLIP_VAULT: self._flip_vault,
            Kind.FULL_DISK: self._fill_disk,
            Kind.CLOCK: self._move_clock,
        }[disturbance.kind]
        self._happened.append(happened)
        act(happened)
        self._say(f"{sum(self._done.values()):>3} steps  {disturbance}  {happened.detail}".rstrip())

    def _hits(self, disturbance: Disturbance) -> bool:
        """Return whether there is anything left to disturb."""
        there = [name for name in disturbance.victims if name not in self._lost]
        if disturbance.kind in NEEDS_PROCESS:
            return any(self._site.runs(name) for name in there)
        return bool(there)

    def _kill(self, happened: Happened) -> None:
        self._take_down(happened)

    def _take_down(self, happened: Happened, meanwhile: Callable[[], str] = lambda: "") -> None:
        """Kill the victims, do what has to be done while they are down, and start them later."""
        for name in happened.disturbance.victims:
            if self._site.runs(name):
                self._killed.add(self._site.process(name))
            self._site.kill(name)
            self._down[name] = self._down.get(name, 0) + 1
        self._note_database()
        happened.detail = meanwhile()
        happened.waiting_for = set(happened.disturbance.victims)
        servers = self._site.servers
        for name in sorted(happened.disturbance.victims, key=lambda name: name not in servers):
            self._at(self._now + happened.disturbance.seconds, partial(self._start, name))

    def _start(self, name: str) -> None:
        """Start a process, unless another outage still keeps it down."""
        self._down[name] = max(0, self._down.get(name, 0) - 1)
        if name in self._lost:
            self._is_back(name)
        if self._down[name] or name in self._lost or self._site.runs(name):
            return
        try:
            self._site.start(name)
        except CeremonyError as error:
            self._note_end(name, str(error))
            return
        self._note_database()
        if name in self._site.servers:
            self._is_back(name)

    def _note_database(self) -> None:
        """Remember a coordinator that finds no database while it starts."""
        missing = DATABASE in self._site.servers and not self._site.runs(DATABASE)
        if missing and self._site.runs(COORDINATOR):
            self._without_database.add(self._site.process(COORDINATOR))

    def _stop(self, happened: Happened) -> None:
        [name] = happened.disturbance.victims
        if not self._site.runs(name):
            self._over(happened)
            return
        stopped = self._site.process(name)
        self._site.send(name, signal.SIGSTOP)
        self._at(
            self._now + happened.disturbance.seconds,
            partial(self._go_on, name, stopped, happened),
        )

    def _go_on(self, name: str, stopped: int, happened: Happened) -> None:
        if self._site.runs(name) and self._site.process(name) == stopped:
            self._site.send(name, signal.SIGCONT)
        self._over(happened)

    def _lose_work(self, happened: Happened) -> None:
        [name] = happened.disturbance.victims
        self._take_down(happened, lambda: damage.lose_work(self._site.home(name)))

    def _flip_work(self, happened: Happened) -> None:
        [name] = happened.disturbance.victims
        home, choice = self._site.home(name), happened.disturbance.choice
        self._take_down(happened, lambda: damage.flip_work(home, choice))

    def _flip_vault(self, happened: Happened) -> None:
        [name] = happened.disturbance.victims
        self._robbed.add(name)
        home, choice = self._site.home(name), happened.disturbance.choice
        self._take_down(happened, lambda: damage.flip_vault(home, choice))

    def _flip_shared(self, happened: Happened) -> None:
        folder, choice = self._site.folder.shared_openings, happened.disturbance.choice
        self._take_down(happened, lambda: damage.flip_in_place(folder, choice))

    def _fill_disk(self, happened: Happened) -> None:
        """Let no file of a process grow for a while, as on a full disk."""
        [name] = happened.disturbance.victims
        if not self._site.runs(name):
            self._over(happened)
            return
        process = psutil.Process(self._site.process(name))
        _, most = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (0, most))
        self._at(
            self._now + happened.disturbance.seconds,
            partial(self._make_room, process, most, happened),
        )

    def _make_room(self, process: psutil.Process, most: int, happened: Happened) -> None:
        if process.is_running():
            process.rlimit(psutil.RLIMIT_FSIZE, (most, most))
        self._over(happened)

    def _move_clock(self, happened: Happened) -> None:
        [name] = happened.disturbance.victims
        file = self._site.clock_offset(name)
        before = float(file.read_text()) if file.exists() else 0.0
        write_atomic(file, str(before + happened.disturbance.seconds).encode(), durable=False)
        self._over(happened)

    # -- what comes of it -------------------------------------------------------------------------

    def _heard(self, name: str, text: str) -> None:
        event = events.parse_event(text)
        match event:
            case events.Ready():
                self._is_back(name)
            case events.Failed():
                self._failures[name] = event
            case events.Progressed():
                self._progressed(event)
            case events.Finished():
                self._finished = True
                self._made_step()
            case _:
                return

    def _progressed(self, event: events.Progressed) -> None:
        waits = ", ".join(event.waiting_for)
        self._waits = f"{event.stage}, waits for {waits}" if waits else event.stage
        if event.batches_done > self._done.get(event.stage, 0):
            self._done[event.stage] = event.batches_done
            self._made_step()

    def _made_step(self) -> None:
        now = self._now
        self._last_step = now
        self._steps.append(now)
        for happened in self._happened:
            if happened.over is not None and happened.resumed is None:
                happened.resumed = now

    def _is_back(self, name: str) -> None:
        for happened in self._happened:
            if name in happened.waiting_for:
                happened.waiting_for.discard(name)
                if not happened.waiting_for:
                    self._over(happened)

    def _over(self, happened: Happened) -> None:
        happened.over = self._now

    def _noticed_end(self, message: Exited) -> None:
        failure = self._failures.pop(message.name, None)
        if message.process in self._killed or self._finished:
            return
        if message.name == COORDINATOR and not message.code:
            return
        if failure and message.name in self._robbed and failure.code.startswith(NEEDS_PEOPLE):
            self._lose(message.name, failure.code)
            return
        if failure and message.process in self._without_database and failure.code == NO_DATABASE:
            self._again(message.name)
            return
        reason = f"{failure.code} {failure.subject}" if failure else message.reason
        self._note_end(message.name, reason)

    def _lose(self, name: str, code: str) -> None:
        """Leave an operator down that only people can let in again: the others go on without."""
        self._lost.add(name)
        self._say(f"{name} stays away with its damaged vault: {code}")
        self._is_back(name)

    def _note_end(self, name: str, reason: str) -> None:
        """Start a process again that ended by itself, and for no reason that the drill knows."""
        self._ended.append(f"{name}: {reason}")
        self._say(f"{name} ended by itself: {reason}")
        self._again(name)

    def _again(self, name: str) -> None:
        self._down[name] = self._down.get(name, 0) + 1
        self._at(self._now + AGAIN_SECONDS, partial(self._start, name))

    def _check_servers(self) -> None:
        for name in self._site.servers:
            if not self._site.runs(name) and not self._down.get(name):
                self._note_end(name, "it does not run")

    def _check_patience(self) -> None:
        if self._due or self._now - self._last_step < self._patience:
            return
        down = [name for name in self._site.operators if not self._site.runs(name)]
        raise StuckError(
            f"no step for {self._now - self._last_step:.0f} s in stage {self._waits}; "
            f"{len(self._schedule)} disturbances to come, down: {', '.join(down) or 'nobody'}"
        )
