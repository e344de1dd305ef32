"""A ceremony of real processes in which one operator's enclave is not what the plan asks for.

The liar starts last, with the log of another operator: the log is public, and says where the others
are. So it calls every one of them, and each has to refuse it by itself.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from infra.board import wire
from infra.board.copy import stored_in
from infra.drill.taken_back import keep_moment, take_back
from infra.enclave.insecure_software import PACKAGES
from infra.files import make_directory
from infra.plan.keys import COORDINATOR
from infra.sandbox import events
from infra.sandbox.processes import Exited
from mpc_core.protocol.entries import Address
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.drill.chaos_site import Site

__all__ = ["CHANGED_PROGRAM", "TAKEN_BACK", "EnclaveRun", "changed_sources"]

TAKEN_BACK = "taken-back"
"""The lie of who keeps a sealed store: it shows an earlier moment of it."""

CHANGED_PROGRAM = "changed-program"
"""No lie at all: the operator's own program is another one, and says so."""

TICK_SECONDS = 1.0


@dataclass
class EnclaveRun:
    """Conducts one ceremony.

    Attributes:
        site: the processes; none runs yet.
        liar: name of the operator with the false enclave, or with the store that is taken back.
        lie: what is false.
        patience_seconds: how long the ceremony may take.
        failures: with what operators ended, by name.
    """

    site: Site
    liar: str
    lie: str
    patience_seconds: float
    failures: dict[str, events.Failed] = field(default_factory=dict)
    _finished: bool = False
    _ended: set[str] = field(default_factory=set)
    _stages: set[str] = field(default_factory=set)
    _until: float = 0.0

    def run(self) -> None:
        """Run the ceremony to its end.

        Raises:
            CeremonyError: RF-DRILL-009 if it does not end in time, or the coordinator ends.
        """
        self._until = time.monotonic() + self.patience_seconds
        honest = [name for name in self.site.operators if name != self.liar]
        late = self.lie != TAKEN_BACK
        first = honest if late else list(self.site.operators)
        for name in (*self.site.servers, COORDINATOR, *first):
            self.site.start(name)
        if late:
            self._wait(lambda: len(self._known_addresses()) >= len(honest))
            self._give_log()
            self.site.start(self.liar)
            if self.lie == CHANGED_PROGRAM:
                self._wait(lambda: self.liar in self.failures)
        else:
            self._take_back()
        self._wait(lambda: self._finished)

    def _take_back(self) -> None:
        """Show the liar's enclave, once the ceremony has gone on, what its store was before."""
        home, kept = self.site.home(self.liar), self.site.folder.root / TAKEN_BACK
        self._wait(lambda: "keys" in self._stages)
        make_directory(kept)
        keep_moment(home, kept)
        self._wait(lambda: "N" in self._stages)
        self.site.kill(self.liar)
        take_back(home, kept)
        self._ended.discard(self.liar)
        self.site.start(self.liar)
        self._wait(lambda: self.liar in self.failures)

    def _known_addresses(self) -> set[tuple[int, ...]]:
        """Return whose addresses the log of the first honest operator has, covered."""
        path = self._log_of_another()
        stored = stored_in(path.read_bytes()) if path.is_file() else None
        if stored is None or stored.checkpoint is None:
            return set()
        signed = (
            wire.decode(data, self.site.plan)
            for data in stored.entries[: stored.checkpoint.head.size]
        )
        return {each.signers for each in signed if isinstance(each.entry, Address)}

    def _give_log(self) -> None:
        home = self.site.home(self.liar)
        shutil.copyfile(self._log_of_another(), home.log_copy)

    def _log_of_another(self) -> Path:
        other = next(name for name in self.site.operators if name != self.liar)
        return self.site.home(other).log_copy

    def _wait(self, question: Callable[[], bool]) -> None:
        """Listen to the processes until something is so."""
        while not question():
            if time.monotonic() > self._until:
                raise _unfinished(f"no end after {self.patience_seconds:g} seconds")
            self._hear()

    def _hear(self) -> None:
        message = self.site.next_message(time.monotonic() + TICK_SECONDS)
        if message is None:
            return
        if isinstance(message, Exited):
            if message.name == COORDINATOR and not self._finished:
                raise _unfinished(f"the coordinator {message.reason}")
            return
        match events.parse_event(message.text):
            case events.Failed() as failure:
                self.failures[message.name] = failure
            case events.StageChanged(stage=stage, state="done"):
                self._stages.add(stage)
            case events.Finished():
                self._finished = True


def changed_sources(folder: Path) -> Path:
    """Copy the program into a folder, with one comment more, and return the folder."""
    installed = Path(__file__).resolve().parents[2]
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(installed / package, folder / package, ignore=ignored)
    with (folder / "infra" / "__init__.py").open("a") as source:
        source.write("# another program\n")
    return folder


def _unfinished(found: str) -> CeremonyError:
    return CeremonyError(
        "RF-DRILL-009",
        "a ceremony with one false enclave does not end",
        expected="the others finish without it",
        found=found,
        effect="the drill ends; the ceremony's folder is kept",
        next_step="read the logs of the processes in that folder",
        runbook="drills",
    )
