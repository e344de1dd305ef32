"""The processes of one ceremony as a drill runs them: each can be taken down and comes back alone.

It starts the very commands that production uses. Unlike the sandbox it does not end with the
coordinator or the Temporal server: on machines of their own these are started again as well.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Self

from infra.drill.chaos_database import Database
from infra.drill.chaos_schedule import DATABASE, TEMPORAL
from infra.network.places import LOOPBACK, Reach
from infra.plan.keys import COORDINATOR
from infra.sandbox.commands import party_command
from infra.sandbox.processes import Children
from infra.sandbox.warm import cache_folder, kernel_environment
from infra.temporal.find import Finder
from infra.temporal.server import OwnServer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.homes import CeremonyFolder, Home
    from infra.sandbox.processes import Message
    from mpc_core.protocol.plan import Plan

__all__ = ["Site"]


class Site:
    """Everything that runs for one ceremony, by name; leaving the context ends all of it."""

    def __init__(
        self,
        folder: CeremonyFolder,
        plan: Plan,
        postgresql: Path | None = None,
        lies: Mapping[str, str] | None = None,
        *,
        key_service: str = "",
        programs: Mapping[str, Path] | None = None,
    ) -> None:
        """Prepare; nothing is started.

        Args:
            folder: of the ceremony.
            plan: its plan.
            postgresql: folder of the programs of PostgreSQL, to have the log in a server of it
                and not in the coordinator's file.
            lies: who lies, and how.
            key_service: URL of the sandbox's key service, where vaults are sealed.
            programs: folders of other sources, for who runs another program.
        """
        self.folder, self.plan = folder, plan
        self.operators = tuple(operator.name for operator in plan.operators)
        self._database = (
            Database(postgresql, folder.root / "postgresql.log") if postgresql is not None else None
        )
        self._lies = lies or {}
        self._key_service = key_service
        self._programs = programs or {}
        self.servers = (TEMPORAL,) if self._database is None else (DATABASE, TEMPORAL)
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._children = Children(self._inbox, kernel_environment(cache_folder()))
        self._board_port = _free_port()
        self._program = Finder(lambda _: None).find()
        self._server: OwnServer | None = None
        self._address = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._children.kill()
        self._children.stop((*self.operators, COORDINATOR))
        self.kill(TEMPORAL)
        if self._database is not None:
            self._database.__exit__()

    def home(self, name: str) -> Home:
        """Return the home of a party."""
        folder = self.folder
        return folder.coordinator if name == COORDINATOR else folder.operator(name)

    def clock_offset(self, name: str) -> Path:
        """Return the file with the seconds by which the clock of a party is moved."""
        return self.folder.root / f"clock-offset-{name}"

    def start_all(self) -> None:
        """Start every process."""
        for name in (*self.servers, COORDINATOR, *self.operators):
            self.start(name)

    def start(self, name: str) -> None:
        """Start a process that does not run."""
        if name == TEMPORAL:
            self._start_temporal()
            return
        if name == DATABASE:
            self._own_database.start()
            return
        role = "coordinator" if name == COORDINATOR else "operator"
        board = "" if name == COORDINATOR else f"{LOOPBACK}:{self._board_port}"
        command = party_command(
            role,
            self.home(name).path,
            self._address,
            Reach(port=self._board_port if name == COORDINATOR else 0),
            board=board,
            shared_openings=self.folder.shared_openings,
            insecure_clock_offset=self.clock_offset(name),
            database=self._database.url if self._database and name == COORDINATOR else "",
            insecure_lie=self._lies.get(name, ""),
            insecure_local_kms="" if name == COORDINATOR else self._key_service,
        )
        sources = self._programs.get(name)
        if sources is not None:
            command = ["env", f"PYTHONPATH={sources}", "PYTHONSAFEPATH=1", *command]
        self._children.start(name, command, self.home(name).log_file)

    def runs(self, name: str) -> bool:
        """Return whether a process runs."""
        if name == TEMPORAL:
            return self._server is not None and self._server.process.poll() is None
        if name == DATABASE:
            return self._own_database.runs
        return self._children.is_running(name)

    def kill(self, name: str) -> None:
        """Kill a process and wait for its end."""
        if name == DATABASE:
            self._own_database.kill()
        elif name != TEMPORAL:
            self._children.end(name)
        elif self._server is not None:
            self.send(name, signal.SIGKILL)
            self._server.process.wait()

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process and whatever it started."""
        if name == DATABASE:
            self._own_database.send(number)
        elif name != TEMPORAL:
            self._children.send(name, number)
        elif self._server is not None and self.runs(TEMPORAL):
            os.killpg(self._server.process.pid, number)

    def process(self, name: str) -> int:
        """Return the id of the process that was started last under a name."""
        if name == TEMPORAL:
            assert self._server is not None
            return self._server.process.pid
        if name == DATABASE:
            return self._own_database.process
        return self._children.process(name)

    def next_message(self, until: float) -> Message | None:
        """Return what a party said next, or None when the moment has come without a word."""
        try:
            return self._inbox.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            return None

    @property
    def _own_database(self) -> Database:
        assert self._database is not None
        return self._database

    def _start_temporal(self) -> None:
        port = int(self._address.rpartition(":")[2]) if self._address else None
        self._server = OwnServer.start(
            self._program, self.folder.temporal, report=lambda _: None, port=port
        )
        self._address = self._server.address


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
