"""A PostgreSQL server of a drill's own, which may be killed at any moment of a write."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import psutil
import psycopg

from infra.drill.passing import PassingFolder
from infra.tether import tethered
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Database"]

USER = "postgres"
"""Of the database; and of this machine, for a drill that root runs, which PostgreSQL refuses."""

START_SECONDS = 60.0
POLL_SECONDS = 0.05
SETTINGS = ("listen_addresses=", "unix_socket_permissions=0700", "max_connections=20")


class Database:
    """A cluster in a passing folder, with its socket there; leaving the context removes it.

    Nothing of its durability is switched off: what it acknowledged is there after a kill.
    """

    def __init__(self, programs: Path, log: Path) -> None:
        """Make an empty cluster; nothing runs yet.

        Args:
            programs: folder of `initdb` and `postgres`.
            log: takes what they say.

        Raises:
            CeremonyError: RF-DRILL-006 if there is no cluster to be had.
        """
        self._programs, self._log = programs, log
        self._owner = _unprivileged()
        owners = {os.geteuid()} | ({self._owner.pw_uid} if self._owner else set())
        self._passing = PassingFolder("ringforge-drill-database", owners)
        self._folder = self._passing.path
        self._process: subprocess.Popen[bytes] | None = None
        if self._owner is not None:
            os.chown(self._folder, self._owner.pw_uid, self._owner.pw_gid)
        words = ("--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={USER}")
        try:
            made = self._spawn("initdb", *words, "-D", str(self._data)).wait()
        except CeremonyError:
            self._remove()
            raise
        if made:
            self._remove()
            raise self._failed(f"initdb ended with exit code {made}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._remove()

    @property
    def url(self) -> str:
        """Where the log is kept."""
        return f"postgresql+psycopg://{USER}@/{USER}?host={self._folder}"

    @property
    def process(self) -> int:
        """Id of the server that was started last."""
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it answers, having repeated what its journal holds.

        Raises:
            CeremonyError: RF-DRILL-006 if it does not start.
        """
        chosen = [word for setting in SETTINGS for word in ("-c", setting)]
        place = ("-D", str(self._data), "-k", str(self._folder))
        self._process = self._spawn("postgres", *place, *chosen)
        for _ in range(int(START_SECONDS / POLL_SECONDS)):
            if self._answers():
                return
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(POLL_SECONDS)
                raise self._failed(f"postgres ended with exit code {self._process.returncode}")
        raise self._failed(f"no answer in {START_SECONDS:.0f} s")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server and its children, each of which is a group of its own."""
        if self.runs:
            family = psutil.Process(self.process)
            for each in (family, *family.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(number)

    def kill(self) -> None:
        """Kill the server and its children; return when all have ended."""
        if self._process is not None and self.runs:
            children = psutil.Process(self.process).children(recursive=True)
            self.send(signal.SIGKILL)
            self._process.wait()
            psutil.wait_procs(children, timeout=START_SECONDS)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _answers(self) -> bool:
        try:
            psycopg.connect(host=str(self._folder), user=USER, dbname=USER).close()
        except psycopg.OperationalError:
            return False
        return True

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        path = self._programs / program
        owner = None if self._owner is None else (self._owner.pw_uid, self._owner.pw_gid)
        environment = {name: text for name, text in os.environ.items() if name[:2] != "PG"}
        try:
            with self._log.open("ab") as log:
                return subprocess.Popen(  # noqa: S603 - a program that a person named
                    tethered(str(path), *arguments, owner=owner),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise self._failed(f"{path}: {error.strerror}") from error

    def _failed(self, found: str) -> CeremonyError:
        return CeremonyError(
            "RF-DRILL-006",
            "the drill's PostgreSQL server does not start",
            expected=f"initdb and postgres in {self._programs}",
            found=found,
            effect="the drill ends; no other server was touched",
            next_step=f"read {self._log}; name the folder of both programs with --postgresql",
            runbook="drills",
        )

    def _remove(self) -> None:
        self._passing.remove()


def _unprivileged() -> pwd.struct_passwd | None:
    """Return who runs the server in the place of root."""
    if os.geteuid():
        return None
    for name in (USER, "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    return None
