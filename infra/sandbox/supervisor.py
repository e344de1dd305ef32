"""Runs one ceremony: Temporal server, coordinator and operators as processes, to the result.

The supervisor knows nothing of the protocol. It starts the same two commands that production uses,
listens to what they say, and stops them: at the end, on an error, or when somebody presses Ctrl-C.
Whatever it kills continues from its own home, so stopping is safe in every stage. An operator that
dies is shown and left alone, as in a real ceremony, unless `--restart-operators` asks otherwise.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import psutil

from infra.network.places import Loopback
from infra.plan.keys import COORDINATOR
from infra.sandbox import events
from infra.sandbox.commands import Errand, as_typed, party_command
from infra.sandbox.faults import coordinator_ended, ended_with, nobody_left
from infra.sandbox.processes import Children, Exited, Line, Message
from infra.sandbox.status import Status
from infra.sandbox.stopping import signals_call
from infra.sandbox.warm import cache_folder, kernel_environment, warm_kernels
from infra.temporal.server import open_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from infra.homes import CeremonyFolder, Home
    from infra.network.places import Places
    from infra.sandbox.display import Display
    from infra.temporal.server import TemporalServer
    from mpc_core.protocol.plan import Plan

__all__ = ["Supervisor"]

TICK_SECONDS = 1.0
FRAME_SECONDS = 0.2
MOST_RESTARTS = 5
SHOWN_CHARACTERS = 300


@dataclass(slots=True)
class _Place:
    """What operators are told at their start."""

    temporal: str
    board_port: int = 0
    ports: dict[str, int] = field(default_factory=dict)


class Supervisor:
    """Everything that runs on behalf of one sandbox ceremony."""

    def __init__(
        self,
        folder: CeremonyFolder,
        plan: Plan,
        *,
        display: Display,
        emit: Callable[[dict[str, object]], None],
        errand: Errand | None = None,
        restart_operators: bool = False,
        places: Places | None = None,
    ) -> None:
        """Prepare; nothing is started.

        Args:
            folder: the ceremony's folder.
            plan: its plan.
            display: where progress is shown.
            emit: takes every event as a dictionary.
            errand: what is to be done, by default the key set.
            restart_operators: whether to start a dead operator again.
            places: the networks of the parties, by default all on loopback.
        """
        self._folder = folder
        self._plan = plan
        self._display = display
        self._emit = emit
        self._errand = errand or Errand()
        self._restart_operators = restart_operators
        self._places = places or Loopback()
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._status = Status(plan)
        self._failures: dict[str, events.Failed] = {}
        self._restarts: dict[str, int] = {}
        self._visitors: dict[str, int] = {}
        self._dead: dict[str, int] = {}
        self._untold: list[str] = []
        self._key_service = ""
        self._finished: events.Finished | None = None
        self._drawn = 0.0

    def run(self) -> events.Finished:
        """Run the ceremony until the result is there, and stop everything.

        Raises:
            CeremonyError: RF-TEMP-* if there is no Temporal server, RF-RUN-006 if the coordinator
                ended, RF-RUN-007 if all operators did, or what one of them reported.
            KeyboardInterrupt: after everything was stopped.
        """
        kernels = cache_folder()
        warm_kernels(kernels, self._display.say)
        children = Children(self._inbox, kernel_environment(kernels))
        stack = ExitStack()
        try:
            server = stack.enter_context(
                open_server(
                    self._folder.temporal,
                    report=self._display.say,
                    host=self._places.reach(COORDINATOR).listen,
                )
            )
            stack.enter_context(children)
            self._key_service = stack.enter_context(self._serving_keys()) or ""
            return self._conduct(children, server)
        finally:
            with signals_call(children.kill):
                self._display.say("stopping all processes ...")
                children.stop([operator.name for operator in self._plan.operators])
                stack.close()

    def _serving_keys(self) -> AbstractContextManager[str | None]:
        """Serve the keys of sealed vaults, where the plan asks for them."""
        if self._plan.attestation is None:
            return nullcontext()
        from infra.sandbox.sealed import serving_keys  # noqa: PLC0415 - loads the SDK of AWS

        return serving_keys(self._folder, self._plan, self._places.reach(COORDINATOR).listen)

    def _conduct(self, children: Children, server: TemporalServer) -> events.Finished:
        place = _Place(server.address)
        if self._errand.take_over:
            self._start_operators(children, place)
            while self._awaits_operators(children, place):
                self._step(children, server, place)
        self._start(children, COORDINATOR, self._coordinator_command(place))
        while not place.board_port:
            self._step(children, server, place)
        if not self._errand.take_over:
            self._start_operators(children, place)
        while self._finished is None:
            self._step(children, server, place)
        return self._finished

    def _awaits_operators(self, children: Children, place: _Place) -> bool:
        """Return whether operators are to come before the log moves.

        None of them is told where it will be: who is not asked to move would never hear of it.
        """
        late = {operator.name for operator in self._plan.operators} - place.ports.keys()
        return len(place.ports) < self._plan.quorum or any(map(children.is_running, late))

    def _start_operators(self, children: Children, place: _Place) -> None:
        for operator in self._plan.operators:
            self._start(children, operator.name, self._operator_command(operator.name, place))

    def _step(self, children: Children, server: TemporalServer, place: _Place) -> None:
        """Deal with the next message, or with the time that passed without one."""
        try:
            message = self._inbox.get(timeout=TICK_SECONDS)
        except Empty:
            self._look_for_visitors()
        else:
            if isinstance(message, Exited):
                self._ended(message, children, place)
            else:
                self._heard(message, place)
        while place.board_port and self._untold:
            self._again(self._untold.pop(), children, place)
        server.check()
        self._places.check()
        self._draw()

    def _heard(self, line: Line, place: _Place) -> None:
        event = events.parse_event(line.text)
        if event is None:
            self._display.say(f"{line.name}: {line.text[:SHOWN_CHARACTERS]}")
            return
        self._emit({"process": line.name, **event.model_dump()})
        now = time.monotonic()
        match event:
            case events.Failed():
                self._failures[line.name] = event
            case events.Ready() if line.name != COORDINATOR:
                self._status.came(line.name)
                place.ports[line.name] = event.port or 0
            case events.Ready():
                place.board_port = event.board_port or 0
            case events.Progressed():
                self._status.progressed(event, now)
            case events.StageChanged():
                self._status.stage_changed(event)
            case events.Finished():
                self._finished = event

    def _ended(self, message: Exited, children: Children, place: _Place) -> None:
        name, failure = message.name, self._failures.pop(message.name, None)
        again = self._errand.again
        self._emit({"event": "process", "process": name, "state": message.reason})
        if name == COORDINATOR:
            log = self._home(COORDINATOR).log_file
            raise ended_with(failure, again) if failure else coordinator_ended(message, log, again)
        self._status.went(name)
        place.ports.pop(name, None)
        self._display.say(f"{name} {message.reason}; its log is {self._home(name).log_file}")
        if failure:
            self._display.say(ended_with(failure, again).render())
        if not (self._restart_operators and self._restarts.get(name, 0) < MOST_RESTARTS):
            self._dead[name] = message.process
        if len(self._dead) == len(self._plan.operators):
            raise ended_with(failure, again) if failure else nobody_left(message, again)
        if self._is_moving(children, place):
            self._untold.append(name)
        else:
            self._again(name, children, place)

    def _is_moving(self, children: Children, place: _Place) -> bool:
        """Tell whether a host is about to take the log over, and has yet to say where it is.

        Whoever starts now would neither be told that nor be asked to move.
        """
        return self._errand.take_over and not place.board_port and children.is_running(COORDINATOR)

    def _again(self, name: str, children: Children, place: _Place) -> None:
        """Start an operator again, or say how a person does."""
        command = self._operator_command(name, place)
        if name in self._dead:
            typed = as_typed(command, self._places.entering(name))
            self._display.say(f"  start it again: {typed}")
            return
        self._restarts[name] = self._restarts.get(name, 0) + 1
        self._status.restarts(name)
        self._start(children, name, command)

    def _start(self, children: Children, name: str, command: list[str]) -> None:
        entering = self._places.entering(name)
        process = children.start(name, [*entering, *command], self._home(name).log_file)
        self._emit({"event": "process", "process": name, "state": "started", "id": process})

    def _look_for_visitors(self) -> None:
        """Notice operators that somebody started again by hand, and their end."""
        for name, process in tuple(self._visitors.items()):
            if not _runs(process):
                del self._visitors[name]
                self._dead[name] = process
                self._status.went(name)
        for name, process in tuple(self._dead.items()):
            found = self._home(name).last_process()
            if found is not None and found != process and _runs(found):
                del self._dead[name]
                self._visitors[name] = found
                self._status.came(name)

    def _draw(self) -> None:
        now = time.monotonic()
        if not self._display.live or now - self._drawn >= FRAME_SECONDS:
            self._drawn = now
            self._display.show(self._status.view(now))

    def _home(self, name: str) -> Home:
        folder = self._folder
        return folder.host(self._errand.host) if name == COORDINATOR else folder.operator(name)

    def _coordinator_command(self, place: _Place) -> list[str]:
        return party_command(
            "coordinator",
            self._home(COORDINATOR).path,
            place.temporal,
            self._places.reach(COORDINATOR),
            ciphertext=self._errand.ciphertext,
            keep_openings=self._errand.keep_openings,
            shared_openings=self._folder.shared_openings,
            take_over=self._operator_addresses(place) if self._errand.take_over else None,
        )

    def _operator_addresses(self, place: _Place) -> dict[str, str]:
        return {
            name: f"{self._places.reach(name).listen}:{port}" for name, port in place.ports.items()
        }

    def _operator_command(self, name: str, place: _Place) -> list[str]:
        return party_command(
            "operator",
            self._home(name).path,
            place.temporal,
            self._places.reach(name),
            board=self._board(place),
            shared_openings=self._folder.shared_openings,
            insecure_local_kms=self._key_service,
        )

    def _board(self, place: _Place) -> str:
        """Return where the log is, "" while a host has yet to take it over."""
        host = self._places.reach(COORDINATOR).listen
        return f"{host}:{place.board_port}" if place.board_port else ""


def _runs(process: int) -> bool:
    """Return whether a process runs; one that ended and was not waited for does not."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
