"""Runs `ringforge sandbox` as a person does, and follows what it says line by line.

Nothing here sleeps: whoever waits, waits for an event of the sandbox or for the end of a process.
Every process of a run inherits a mark in its environment, by which those left over are found.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import cache, cached_property
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

import psutil

from infra.homes import CeremonyFolder, Home
from infra.plan import load_signed_plan
from mpc_core.ring.galois import Ring
from mpc_core.tfhe.objects import secret_keys
from mpc_core.tfhe.parameters import lookup
from tests.support.reveal import reveal_secrets
from tests.support.simulation import Ceremony

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mpc_core.protocol.plan import Plan

WAITING_SECONDS = 20
"""Waiting time before a write-off; it is in the plan, so equal plans need the same."""

RINGFORGE = (sys.executable, "-m", "infra.cli")
_MARK = "RINGFORGE_TEST_RUN"


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a run: an event of standard output, or a text of standard error."""

    event: dict[str, Any] | None = None
    text: str = ""
    end: bool = False

    def is_(self, **facts: object) -> bool:
        return self.event is not None and all(self.event.get(k) == v for k, v in facts.items())


@dataclass
class Sandbox:
    """A running sandbox."""

    directory: Path
    identifier: str
    arguments: tuple[str, ...] = ()
    said: list[Said] = field(default_factory=list)
    processes: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._run = secrets.token_hex(8)
        self._inbox: SimpleQueue[Said] = SimpleQueue()
        self._visitors: list[subprocess.Popen[bytes]] = []
        command = [*RINGFORGE, "sandbox", "--json", "--id", self.identifier]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self.directory), *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment(),
        )
        self._readers = [
            threading.Thread(target=self._read, args=each, daemon=True)
            for each in ((self._process.stdout, _event), (self._process.stderr, _text))
        ]
        for reader in self._readers:
            reader.start()
        threading.Thread(target=self._await_end, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.left_over():
            process.kill()
        self._process.wait()
        for visitor in self._visitors:
            visitor.wait()

    def _environment(self) -> dict[str, str]:
        return os.environ | {_MARK: self._run}

    def _read(self, stream: Any, parse: Callable[[str], Said]) -> None:
        for line in stream:
            self._inbox.put(parse(line.rstrip("\n")))

    def _await_end(self) -> None:
        for reader in self._readers:
            reader.join()
        self._inbox.put(Said(end=True))

    # -- what happens -----------------------------------------------------------------------------

    def until(self, wanted: Callable[[Said], bool]) -> Said:
        """Return the next line that is wanted."""
        while True:
            said = self._inbox.get()
            self.said.append(said)
            if said.is_(event="process", state="started"):
                self.processes[said.event["process"]] = said.event["id"]
            if wanted(said):
                return said
            assert not said.end, "\n".join(self.texts()[-40:])

    def until_progress(self, stage: str, batches: int) -> None:
        """Wait until so many batches of a stage are done."""
        self.until(
            lambda said: (
                said.is_(event="progress", stage=stage) and said.event["batches_done"] >= batches
            )
        )

    def until_said(self, words: str) -> str:
        """Return the text with these words, said already or still to come.

        The two outputs of a process are read side by side, so a text may overtake an event.
        """
        before = next((text for text in self.texts() if words in text), "")
        return before or self.until(lambda said: words in said.text).text

    def finish(self) -> int:
        """Wait for the end; return the exit code."""
        self.until(lambda said: said.end)
        return self._process.wait()

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [said.event for said in self.said if said.is_(event=kind)]

    def texts(self) -> list[str]:
        return [said.text for said in self.said if said.text]

    # -- what is done to it -----------------------------------------------------------------------

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def kill(self, name: str) -> None:
        """Kill a party and wait until the sandbox has seen its end."""
        os.kill(self.processes[name], signal.SIGKILL)
        if name != "coordinator":
            self.until(lambda said: said.is_(event="process", process=name, state=KILLED))

    def kill_temporal(self) -> None:
        state = self.directory / self.identifier / "coordinator/work/temporal/server.json"
        os.kill(json.loads(state.read_text())["pid"], signal.SIGKILL)

    def start_again(
        self,
        name: str,
        *arguments: str,
        heard: int = subprocess.DEVNULL,
        told: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a killed operator by the command that the sandbox said, and more arguments."""
        command = self.until_said(
            f"start it again: ringforge operator run --home {self._home(name)}"
        )
        words = shlex.split(command.partition("ringforge ")[2])
        visitor = subprocess.Popen(
            [*RINGFORGE, *words, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=heard,
            env=self._environment(),
        )
        self._visitors.append(visitor)
        return visitor

    def home(self, name: str) -> Home:
        return Home(self.directory / self.identifier / "operators" / name)

    def _home(self, name: str) -> str:
        return str((self.directory / self.identifier / "operators" / name).absolute())

    def left_over(self) -> list[psutil.Process]:
        """Return every process of this run that still runs."""
        return [process for process in psutil.process_iter() if self._belongs(process)]

    def _belongs(self, process: psutil.Process) -> bool:
        try:
            marked = process.environ().get(_MARK) == self._run
            return marked and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


KILLED = "ended by SIGKILL"


def _event(line: str) -> Said:
    return Said(event=json.loads(line))


def _text(line: str) -> Said:
    return Said(text=line)


@dataclass(frozen=True)
class Finished:
    """A ceremony that ended with a key set, and what its sandbox said on the way."""

    folder: CeremonyFolder
    events: tuple[dict[str, Any], ...]
    texts: tuple[str, ...]
    wall_seconds: float
    cpu_seconds: float

    @cached_property
    def plan(self) -> Plan:
        return load_signed_plan(self.folder.root).plan

    @cached_property
    def report(self) -> dict[str, Any]:
        return dict(json.loads(self.folder.report_json.read_text()))

    @cached_property
    def secrets(self):
        return reveal_secrets(self.folder)

    def key_files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.keyset.iterdir()}


def finished(sandbox: Sandbox, wall_seconds: float = 0.0, cpu_seconds: float = 0.0) -> Finished:
    """Return the ceremony of a sandbox that is to end well now."""
    code = sandbox.finish()
    assert code == 0, "\n".join(sandbox.texts()[-40:])
    return Finished(
        CeremonyFolder(sandbox.directory / sandbox.identifier),
        tuple(said.event for said in sandbox.said if said.event),
        tuple(sandbox.texts()),
        wall_seconds,
        cpu_seconds,
    )


def run_ceremony(directory: Path, identifier: str, *arguments: str) -> Finished:
    """Run an undisturbed ceremony and measure it."""
    wall, cpu = time.monotonic(), _children_cpu()
    with Sandbox(directory, identifier, arguments) as sandbox:
        done = finished(sandbox)
        assert sandbox.left_over() == []
    return Finished(
        done.folder,
        done.events,
        done.texts,
        time.monotonic() - wall,
        _children_cpu() - cpu,
    )


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seeded() -> tuple[str, ...]:
    """Return the options of the one ceremony that all seeded tests run."""
    return ("--insecure-setup-seed", seed_of_ones(), "--waiting-time", str(WAITING_SECONDS))


@cache
def seed_of_ones() -> str:
    """Return the first setup seed whose LWE key bit and OPRF key bit are both 1.

    They follow from the seed and the plan, so a key setup in memory tells.
    """
    return next(seed for seed in map("{:04x}".format, range(256)) if all(_single_bits(seed)))


def _single_bits(seed: str) -> list[int]:
    """Return the secret keys that have one bit only, in a ceremony of four with this seed."""
    ceremony = Ceremony(seed=seed, waiting_seconds=WAITING_SECONDS, hybrid=True)
    for party in ceremony.parties.values():
        party.start()
    ceremony.keys()
    ceremony.stage("S")
    single = [key.name for key in secret_keys(lookup(ceremony.plan.parameters)) if key.bits == 1]
    assert single == ["small-lwe", "oprf-lwe"]
    return [_bit(ceremony, name) for name in single]


def _bit(ceremony: Ceremony, name: str) -> int:
    [place] = ceremony.layout.key_bits(name, 0, 1)
    key = ("S", place.batch)
    ring = Ring(ceremony.layout.batch(*key).word_bits, ceremony.layout.degree)
    here = slice(place.offset, place.offset + 1)
    shares = {
        index: ring.to_exact(ceremony.party(index).steps.batches.shares(key)[here])
        for index in (1, 2)
    }
    [bit] = ring.exact.vector_at_zero(shares, ceremony.plan.threshold)
    return bit[0]
