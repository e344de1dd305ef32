"""Where everything of a ceremony lies, and that one process at a time works there.

```
ceremonies/<id>/
  plan.toml plan.sig          the signed plan
  keyset/ transcript/         the public result
  operators/<name>/           an operator's home: plan.toml plan.sig vault/ work/
  coordinator/                the coordinator's home, the same; deputies' homes stand beside it
  shared-openings/            opened values, of which the homes hold links
  report.json report.md
```
`vault/` stands for KMS-sealed storage: identity key, root keys, last head. `work/` can be rebuilt
from the vault and the board at any time. A folder appears under its name only once it is whole, so
that a run that died while making it leaves nothing that could be taken for a ceremony.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.files import disk_errors, make_directory, sync_directory
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import COORDINATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CeremonyFolder", "Home"]

OPEN_DIRECTORY = 0o755
LOCK_FILE = "lock"


@dataclass(frozen=True, slots=True)
class Home:
    """What one process works in: the home of an operator or of the coordinator."""

    path: Path
    shared_openings: Path | None = None
    """Folder of the opened values that the parties on this machine keep once, if they do."""

    insecure_clock_offset: Path | None = None
    """File with the seconds by which a drill moves this party's clock, if one does."""

    database: str | None = None
    """URL of the database of the log, if it is not the file in `work/`."""

    insecure_lie: str = ""
    """The lie that an operator of a drill tells, "" for an honest one."""

    insecure_local_kms: str | None = None
    """URL of a sandbox's key service, of an operator whose vault is sealed there."""

    namespace: str | None = None
    """Namespace of Temporal in which the operator's task queues are, if one is named."""

    @property
    def name(self) -> str:
        """The party's name in the plan."""
        return self.path.name

    @property
    def vault(self) -> Path:
        """Folder of what must never be lost or seen."""
        return self.path / "vault"

    @property
    def work(self) -> Path:
        """Folder of what can be rebuilt."""
        return self.path / "work"

    @property
    def outbox(self) -> Path:
        """Folder of the blobs that the process serves."""
        return self.work / "outbox"

    @property
    def sums(self) -> Path:
        """Folder in which an operator opens files without a name."""
        return self.work / "sums"

    @property
    def sent_file(self) -> Path:
        """Where the process counts what it has served."""
        return self.work / "sent.json"

    @property
    def insecure_enclave(self) -> Path:
        """Folder of the test root with which a sandbox's operator stands in for its enclave."""
        return self.path / "insecure-enclave"

    @property
    def log_copy(self) -> Path:
        """Where an operator keeps its copy of the log, from its first start on."""
        return self.work / "log"

    @property
    def temporal_line(self) -> Path:
        """What an operator in an enclave was told of its line to Temporal, beside the plan."""
        return self.path / "temporal.line"

    @property
    def witness_file(self) -> Path:
        """Where an operator remembers what it signed of the log."""
        return self.vault / "witness"

    @property
    def board(self) -> str:
        """URL of the database in which a coordinator keeps the log."""
        return self.database or f"sqlite:///{self.board_file}"

    @property
    def board_file(self) -> Path:
        """The file of that database, where it is none of a server."""
        return self.work / "board.sqlite"

    @property
    def log_file(self) -> Path:
        """Where the process's own log goes when the sandbox started it."""
        return self.work / "process.log"

    @property
    def thefts_file(self) -> Path:
        """Where a coordinator keeps who took orders that were another's."""
        return self.work / "thefts.json"

    @property
    def clocks_file(self) -> Path:
        """Where an operator keeps which clocks it found to differ."""
        return self.work / "clocks.json"

    @property
    def metrics_file(self) -> Path:
        """Where the process accounts for time, CPU, memory and bytes."""
        return self.work / "metrics.json"

    def make(self) -> None:
        """Create the folders that are not there.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
        """
        make_directory(self.path, OPEN_DIRECTORY)
        make_directory(self.vault)
        make_directory(self.work)

    def check(self) -> None:
        """Check that this is a home.

        Raises:
            CeremonyError: RF-RUN-020 if it is not.
        """
        if not (self.vault.is_dir() and self.work.is_dir()):
            raise _nothing_there(self.path, "a home, which is a folder with vault/ and work/")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process out of this home; the lock goes with the process.

        Raises:
            CeremonyError: RF-RUN-003 if another process works here.
        """
        with _locked(self.work / LOCK_FILE, f"the home of {self.name}"):
            yield

    def last_process(self) -> int | None:
        """Return the id of the process that last locked this home, running or not."""
        try:
            return int((self.work / LOCK_FILE).read_text())
        except (FileNotFoundError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class CeremonyFolder:
    """The folder of one ceremony in a sandbox: all homes and the result."""

    root: Path

    @classmethod
    def named(cls, directory: Path, identifier: str) -> CeremonyFolder:
        """Return the folder with this name, whether it exists or not.

        Raises:
            CeremonyError: RF-RUN-004 if the name is no name of a folder.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", identifier):
            raise CeremonyError(
                "RF-RUN-004",
                "the name of the ceremony cannot be the name of a folder",
                expected="1 to 64 letters, digits, dots, dashes and underscores",
                found=repr(identifier[:80]),
                effect="nothing was started",
                next_step="choose another --id",
                runbook="start",
            )
        return cls(directory / identifier)

    @property
    def plan_file(self) -> Path:
        """The plan; a ceremony exists once this file does."""
        return self.root / "plan.toml"

    @property
    def keyset(self) -> Path:
        """Folder of the three key files."""
        return self.root / "keyset"

    @property
    def transcript(self) -> Path:
        """Folder of everything public that `verify` needs."""
        return self.root / "transcript"

    @property
    def report_json(self) -> Path:
        """The report for programs."""
        return self.root / "report.json"

    @property
    def report_markdown(self) -> Path:
        """The report for people."""
        return self.root / "report.md"

    @property
    def shared_openings(self) -> Path:
        """Folder of the opened values, of which every party holds links."""
        return self.root / "shared-openings"

    @property
    def insecure_kms(self) -> Path:
        """Folder of the keys of a sandbox's key service."""
        return self.root / "insecure-kms"

    @property
    def coordinator(self) -> Home:
        """The coordinator's home."""
        return self.host(COORDINATOR)

    @property
    def temporal(self) -> Path:
        """Where the sandbox's Temporal server keeps its histories and its log."""
        return self.coordinator.work / "temporal"

    def host(self, name: str) -> Home:
        """Return the home of a party that may host the log: the coordinator or a deputy."""
        return Home(self.root / name)

    def operator(self, name: str) -> Home:
        """Return the home of the operator with this name."""
        return Home(self.root / "operators" / name)

    def check(self) -> None:
        """Check that there is a ceremony.

        Raises:
            CeremonyError: RF-RUN-020 if there is none.
        """
        if not self.plan_file.is_file():
            raise _nothing_there(self.root, "the folder of a ceremony, with plan.toml in it")

    @contextmanager
    def being_made(
        self, operators: Iterable[str], hosts: Iterable[str] = (COORDINATOR,)
    ) -> Iterator[CeremonyFolder]:
        """Make the ceremony under a passing name and give it its own at the end, or not at all.

        Args:
            operators: names of those who get a home.
            hosts: names of those who may host the log, and get a home too.

        Yields:
            The folder under its passing name, with empty homes.

        Raises:
            CeremonyError: RF-RUN-001 if there is such a ceremony already, RF-DISK-001 or
                RF-DISK-002 if the disk refuses.
        """
        if self.root.exists():
            raise self._exists_already()
        make_directory_once(self.root.parent)
        with disk_errors(self.root):
            passing = Path(tempfile.mkdtemp(prefix=f".{self.root.name}.", dir=self.root.parent))
        try:
            made = CeremonyFolder(passing)
            make_directory(passing, OPEN_DIRECTORY)
            for name in hosts:
                made.host(name).make()
            for name in operators:
                made.operator(name).make()
            yield made
            self._take_name_of(passing)
        except BaseException:
            shutil.rmtree(passing, ignore_errors=True)
            raise

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other supervisor away from this ceremony.

        Raises:
            CeremonyError: RF-RUN-003 if another one runs.
        """
        path = self.coordinator.work / f"sandbox.{LOCK_FILE}"
        with _locked(path, f"ceremony {self.root.name}"):
            yield

    def _take_name_of(self, passing: Path) -> None:
        try:
            passing.rename(self.root)
        except OSError as error:
            if self.root.exists():
                raise self._exists_already() from error
            with disk_errors(self.root):
                raise
        sync_directory(self.root.parent)

    def _exists_already(self) -> CeremonyError:
        return CeremonyError(
            "RF-RUN-001",
            f"there is a ceremony {self.root.name} already",
            expected=f"no {self.root}",
            found="a folder that an earlier run made",
            effect="nothing was started and nothing was changed",
            next_step="continue that run with --resume, or choose another --id",
            runbook="second-run-same-id",
        )


def make_directory_once(path: Path) -> None:
    """Create a folder that anybody may read, and leave one that exists as it is.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
    """
    with disk_errors(path):
        path.mkdir(mode=OPEN_DIRECTORY, parents=True, exist_ok=True)


@contextmanager
def _locked(path: Path, what: str) -> Iterator[None]:
    with disk_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            raise CeremonyError(
                "RF-RUN-003",
                f"another process works in {what}",
                expected="one process at a time",
                found=f"process {holder}" if holder else "a locked folder",
                effect="this command did nothing; the other process goes on",
                next_step="wait for that process or stop it, then start this command again",
                runbook="resume",
            ) from error
        with disk_errors(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _nothing_there(path: Path, expected: str) -> CeremonyError:
    return CeremonyError(
        "RF-RUN-020",
        "there is nothing to run or to resume here",
        expected=expected,
        found=str(path),
        effect="nothing was started",
        next_step="check --dir, --id or --home; leave out --resume to start a new ceremony",
        runbook="resume",
    )
