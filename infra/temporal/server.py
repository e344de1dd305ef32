"""A Temporal server of one's own: one process, one SQLite file, the same histories after a restart.

`open_server` starts nothing if TEMPORAL_ADDRESS (or a profile of the user) names a server.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, Self

import psutil

from infra.files import make_directory, write_atomic
from infra.loop import BackgroundLoop
from infra.temporal.client import NAMESPACE, connect, external_settings
from infra.temporal.find import Finder
from infra.tether import tethered
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.temporal.find import Report

__all__ = ["ExternalServer", "OwnServer", "TemporalServer", "open_server"]

HOST, EVERYWHERE = "127.0.0.1", "0.0.0.0"  # noqa: S104 - only in a network of its own

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_LAST_LINES = 5
_LINE_CHARACTERS = 300


class TemporalServer(Protocol):
    """A server to work with, wherever it runs."""

    @property
    def address(self) -> str:
        """Host and port of its frontend."""

    def check(self) -> None:
        """Raise if it is known to be gone."""

    def stop(self) -> None:
        """End it, if it is ours."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_server(
    directory: Path,
    *,
    report: Report,
    port: int | None = None,
    host: str = HOST,
    environment: Mapping[str, str] | None = None,
) -> TemporalServer:
    """Return the server that the settings name, or start one whose state is in `directory`.

    Blocks. On Linux an own server ends with the thread that started it, whatever ended that.

    Args:
        directory: where the database, the log and the port of an own server are kept.
        report: told what happens and how long it may take.
        port: the port of an own server; by default the last one, if it is free, or any free one.
        host: the address at which an own server is reached; if it is not loopback, the server
            listens on all addresses, so this is for a network that is closed to the outside.
        environment: the variables that count, those of this process by default.

    Raises:
        CeremonyError: RF-TEMP-001 without a program, -002 if `port` is in use, -003 if the server
            does not start, -005 if another running process has started it.
    """
    settings = external_settings(environment)
    if settings is not None:
        report(f"using the Temporal server at {settings['target_host']}")
        return ExternalServer(settings["target_host"])
    finder = Finder(report) if environment is None else Finder(report, environment)
    return OwnServer.start(finder.find(), directory, report=report, port=port, host=host)


class ExternalServer:
    """A server that others run."""

    def __init__(self, address: str) -> None:
        """Remember where it is."""
        self.address = address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def check(self) -> None:
        """Do nothing: clients notice when it is gone."""

    def stop(self) -> None:
        """Do nothing: it is not ours."""


class OwnServer:
    """A server that this process started and ends."""

    def __init__(
        self, process: subprocess.Popen[bytes], host: str, port: int, directory: Path
    ) -> None:
        """Take charge of a running process."""
        self.address = f"{host}:{port}"
        self.process = process
        self.port = port
        self._directory = directory

    @classmethod
    def start(
        cls,
        program: Path,
        directory: Path,
        *,
        report: Report,
        port: int | None = None,
        host: str = HOST,
        deadline_seconds: float = _START_SECONDS,
    ) -> Self:
        """Start the server and wait until it answers.

        Args:
            program: the Temporal CLI.
            directory: as in `open_server`.
            report: as in `open_server`.
            port: as in `open_server`.
            host: as in `open_server`.
            deadline_seconds: how long the start may take.

        Raises:
            CeremonyError: RF-TEMP-002 if the port is in use, RF-TEMP-003 if it does not start,
                RF-TEMP-005 if another process that still runs has started it.
        """
        make_directory(directory)
        last = _read_state(directory)
        _end_orphan(last, directory, report)
        chosen = _choose_port(host, port, int(last.get("port", 0)))
        report(f"starting the Temporal server on {host}:{chosen} (a few seconds) ...")
        command = tethered(
            *(str(program), "server", "start-dev", "--headless"),
            *("--ip", _bound(host), "--port", str(chosen), "--namespace", NAMESPACE),
            # The server works in its folder, so that a path relative to ours would lead elsewhere.
            *("--db-filename", _database(directory).name, "--log-format", "json"),
            *("--log-level", "warn"),
        )
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TEMPORAL_")}
        with _log_file(directory).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - the program the finder checked
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env=environment,
                start_new_session=True,
            )
        server = cls(process, host, chosen, directory)
        try:
            _write_state(directory, process.pid, chosen)
            server._wait_until_ready(deadline_seconds)
        except BaseException:
            server.stop()
            raise
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def check(self) -> None:
        """Tell whether the server still runs.

        Raises:
            CeremonyError: RF-TEMP-003 with its last words if it does not.
        """
        code = self.process.poll()
        if code is not None:
            raise _dead(self._directory, f"exit code {code}")

    def stop(self) -> None:
        """End the server and wait for it; histories stay in the database."""
        _end_group(self.process)

    def _wait_until_ready(self, deadline_seconds: float) -> None:
        """Wait until the frontend answers; notice at once when the process ends instead."""
        loop = BackgroundLoop("temporal-start")
        try:
            probe = connect(
                self.address,
                identity="ringforge-start",
                insecure_clear=True,  # it is this machine, by whichever of its addresses
                deadline_seconds=deadline_seconds,
            )
            loop.run(probe, tick=self.check)
        except CeremonyError as error:
            self.check()
            raise _dead(self._directory, f"no answer in {deadline_seconds:.0f} s") from error
        finally:
            loop.close()
        self.check()
        if not _listens(self.process.pid, self.port):
            raise _port_in_use(self.address)


def _listens(pid: int, port: int) -> bool:
    """Tell whether it is this process that answers, and not one that was faster to the port."""
    connections = psutil.Process(pid).net_connections(kind="tcp")
    return any(
        connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        for connection in connections
    )


def _database(directory: Path) -> Path:
    return directory / "temporal.sqlite"


def _log_file(directory: Path) -> Path:
    return directory / "temporal.log"


def _state_file(directory: Path) -> Path:
    return directory / "server.json"


def _read_state(directory: Path) -> dict[str, float]:
    path = _state_file(directory)
    return dict(json.loads(path.read_bytes())) if path.exists() else {}


def _write_state(directory: Path, pid: int, port: int) -> None:
    starter = os.getpid()
    state = {
        "pid": pid,
        "created": _created(pid),
        "starter": starter,
        "starter_created": _created(starter),
        "port": port,
    }
    write_atomic(_state_file(directory), json.dumps(state).encode() + b"\n")


def _created(pid: int) -> float:
    """Return when a process began, 0 if it has ended already."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def _end_orphan(state: Mapping[str, float], directory: Path, report: Report) -> None:
    """End the server of an earlier process that was killed: it holds the database.

    Raises:
        CeremonyError: RF-TEMP-005 if the process that started that server still runs.
    """
    pid, starter = int(state.get("pid", 0)), int(state.get("starter", 0))
    if not pid or _created(pid) != state["created"]:
        return
    if _created(starter) == state["starter_created"]:
        raise _in_use(directory, starter)
    with suppress(psutil.NoSuchProcess):
        orphan = psutil.Process(pid)
        report(f"ending the Temporal server that was left over (process {pid}) ...")
        orphan.terminate()
        try:
            orphan.wait(_STOP_SECONDS)
        except psutil.TimeoutExpired:
            orphan.kill()
            orphan.wait(_STOP_SECONDS)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process group that this process started, gently first."""
    for wish in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, wish)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)


def _choose_port(host: str, wanted: int | None, last: int) -> int:
    if wanted is not None:
        if not _is_free(host, wanted):
            raise _port_in_use(f"{host}:{wanted}")
        return wanted
    return last if last and _is_free(host, last) else _free_port(host)


def _bound(host: str) -> str:
    """Return where to listen: the server's parts call each other on loopback, whatever it is."""
    return host if host == HOST else EVERYWHERE


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _port_in_use(address: str) -> CeremonyError:
    return CeremonyError(
        "RF-TEMP-002",
        f"{address}, meant for the Temporal server, is in use",
        expected=f"{address} free",
        found="another process listens there",
        effect="the ceremony does not start; histories are untouched",
        next_step=f"end the process that holds {address}, or choose another port",
        runbook="port-in-use",
    )


def _in_use(directory: Path, starter: int) -> CeremonyError:
    return CeremonyError(
        "RF-TEMP-005",
        f"process {starter} already runs the Temporal server of {directory}",
        expected="one process that starts this server",
        found=f"process {starter} is alive, and so is the server it started",
        effect="this command stops; the running server is untouched",
        next_step=f"wait for process {starter} or end it, then start this command again",
        runbook="temporal-in-use",
    )


def _dead(directory: Path, found: str) -> CeremonyError:
    log = _log_file(directory)
    lines = log.read_text(errors="replace").splitlines()[-_LAST_LINES:] if log.exists() else []
    words = " | ".join(line[:_LINE_CHARACTERS] for line in lines)
    return CeremonyError(
        "RF-TEMP-003",
        "the Temporal server does not run",
        expected="a server that answers until it is stopped",
        found=f"{found}: {words}" if words else found,
        effect="no orders arrive; histories are in the database and nothing is lost",
        next_step=f"read {log}, then give the same command with --resume",
        runbook="temporal-died",
    )
