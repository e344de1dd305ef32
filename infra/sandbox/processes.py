"""Child processes: each in a session of its own, its log in a file, its events in one inbox.

Nothing here polls: a thread for each child turns its lines and its end into messages, and whoever
supervises waits for the next message. A session of its own keeps Ctrl-C away from the children, so
that they are stopped in order by the sandbox and not all at once by the terminal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from infra.files import disk_errors
from infra.tether import tethered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from queue import SimpleQueue
    from types import TracebackType

__all__ = ["Children", "Exited", "Line", "Message"]

GRACE_SECONDS = 20.0
"""How long a process that was told to stop may take before it is killed."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that a child wrote to its standard output."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Exited:
    """A child that ended; a negative code is the signal that ended it."""

    name: str
    process: int
    code: int

    @property
    def reason(self) -> str:
        """How it ended, in words."""
        if self.code < 0:
            return f"ended by {signal.Signals(-self.code).name}"
        return f"ended with exit code {self.code}"


Message = Line | Exited


class Children:
    """The running children by name; leaving the context stops all that are left."""

    def __init__(self, inbox: SimpleQueue[Message], environment: Mapping[str, str]) -> None:
        """Prepare to start children with this environment."""
        self._inbox = inbox
        self._environment = dict(environment)
        self._running: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(tuple(self._running))

    def start(self, name: str, command: Sequence[str], log: Path) -> int:
        """Start a child and return its process id; its standard error goes to the log.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002 if the log cannot be written.
        """
        with disk_errors(log):
            errors = log.open("ab")
        with errors:
            child = subprocess.Popen(  # noqa: S603  # the arguments are the sandbox's own
                tethered(*command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                start_new_session=True,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        self._running[name] = child
        threading.Thread(target=self._listen, args=(name, child), daemon=True).start()
        return child.pid

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a child and to whatever it started."""
        _signal(self._running[name], number)

    def end(self, name: str) -> None:
        """Kill a child, if it runs, and wait until it is gone."""
        if name in self._running:
            _signal(self._running[name], signal.SIGKILL)
            self._running[name].wait()

    def process(self, name: str) -> int:
        """Return the process id of the child that was started last under a name."""
        return self._running[name].pid

    def is_running(self, name: str) -> bool:
        """Return whether a child with this name was started and has not ended."""
        child = self._running.get(name)
        return child is not None and child.poll() is None

    def stop(self, names: Iterable[str], grace: float | None = None) -> tuple[str, ...]:
        """Stop some children together and wait until they are gone.

        Args:
            names: whom to stop; those that do not run are passed over.
            grace: seconds until they are killed, GRACE_SECONDS by default.

        Returns:
            Those that did not stop in time and were killed.
        """
        stopping = {name: self._running[name] for name in names if name in self._running}
        for child in stopping.values():
            _signal(child, signal.SIGTERM)
        until = time.monotonic() + (GRACE_SECONDS if grace is None else grace)
        killed = []
        for name, child in stopping.items():
            try:
                child.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                killed.append(name)
                _signal(child, signal.SIGKILL)
                child.wait()
            del self._running[name]
        return tuple(killed)

    def kill(self) -> None:
        """Kill all children at once; for whoever has no time to wait for them."""
        for child in tuple(self._running.values()):
            _signal(child, signal.SIGKILL)

    def _listen(self, name: str, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        with child.stdout:
            for line in child.stdout:
                self._inbox.put(Line(name, line.rstrip("\n")))
        self._inbox.put(Exited(name, child.pid, child.wait()))


def _signal(child: subprocess.Popen[str], number: signal.Signals) -> None:
    """Signal the whole session of a child that has not been waited for."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
