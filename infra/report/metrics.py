"""What one process accounts for while it runs, and how that survives its restarts.

Every process of a ceremony charges its work to stages and keeps the sums in `work/metrics.json`,
which the report reads. Times are sums over all starts of the process; the peak is their maximum.
Whatever happened after the last save of a process that was killed is missing, never invented.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from infra.guarded import read_guarded, write_guarded
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "MetricsRecorder",
    "PartyMetrics",
    "StageMetrics",
    "peak_memory_bytes",
    "read_metrics",
]

_log = structlog.get_logger()

VERSION = 1
STAGE_NAME = re.compile("[A-Za-z][A-Za-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class StageMetrics:
    """What a party spent on a stage.

    Attributes:
        wall_seconds: time in which at least one of its steps ran; steps side by side count once.
        cpu_seconds: CPU time of the threads that ran its steps.
        sent_bytes: bytes this party sent for it.
        received_bytes: bytes this party received for it.
    """

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0

    def __add__(self, other: StageMetrics) -> StageMetrics:
        return StageMetrics(
            self.wall_seconds + other.wall_seconds,
            self.cpu_seconds + other.cpu_seconds,
            self.sent_bytes + other.sent_bytes,
            self.received_bytes + other.received_bytes,
        )


@dataclass(frozen=True, slots=True)
class PartyMetrics:
    """What a party spent on a ceremony.

    Attributes:
        name: its name in the plan.
        starts: how often its process was started.
        stages: what it spent on each stage, in the order in which they first came up.
        process_cpu_seconds: CPU time of all its processes, also outside every stage.
        peak_memory_bytes: largest resident set of any of its processes.
        lost: whether an earlier file could not be read, so that the sums are too low.
    """

    name: str
    starts: int = 0
    stages: dict[str, StageMetrics] = field(default_factory=dict)
    process_cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    lost: bool = False

    @property
    def sent_bytes(self) -> int:
        """Bytes sent in all stages."""
        return sum(stage.sent_bytes for stage in self.stages.values())

    @property
    def received_bytes(self) -> int:
        """Bytes received in all stages."""
        return sum(stage.received_bytes for stage in self.stages.values())

    def spent_on(self, names: tuple[str, ...]) -> StageMetrics:
        """Return the sum over some stages."""
        return sum((self.stages.get(name, StageMetrics()) for name in names), StageMetrics())


def peak_memory_bytes() -> int:
    """Return the largest resident set of this process so far.

    Linux hands `ru_maxrss` of a parent down to a started program, so the kernel's own mark of this
    program is read where there is one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        mark = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
        if mark:
            return int(mark[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def read_metrics(path: Path, name: str) -> PartyMetrics:
    """Return what a party saved, with `lost` set if the file is damaged or of another version."""
    try:
        kept = read_guarded(path)
        if kept is None:
            return PartyMetrics(name, lost=path.exists())
        return _decode(json.loads(kept), name)
    except (ValueError, TypeError, KeyError, AttributeError):
        return PartyMetrics(name, lost=True)


class MetricsRecorder:
    """Charges the work of this process to stages; safe to use from many threads.

    It is the `Meter` of an operator's activities. One step is charged to one stage: `stage` is not
    entered again inside itself by the same thread.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        *,
        wall_clock: Callable[[], float] = time.monotonic,
        thread_clock: Callable[[], float] = time.thread_time,
        process_clock: Callable[[], float] = time.process_time,
    ) -> None:
        """Continue the account in `path`; this process counts as one more start."""
        self._path = path
        self._wall_clock = wall_clock
        self._thread_clock = thread_clock
        self._process_clock = process_clock
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._before = read_metrics(path, name)
        self._stages = dict(self._before.stages)
        self._running: dict[str, int] = {}
        self._since: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Charge wall and CPU time of what happens inside to a stage, and save the account.

        A disk that is full gets the account later: what was done is done.
        """
        started = self._thread_clock()
        self._enter(name)
        try:
            yield
        finally:
            self._leave(name, self._thread_clock() - started)
            try:
                self.save()
            except CeremonyError as refusal:
                _log.warning("the account is not saved", reason=str(refusal))

    def sent(self, stage: str, count: int) -> None:
        """Charge bytes that went out to a stage."""
        self._add(stage, StageMetrics(sent_bytes=count))

    def received(self, stage: str, count: int) -> None:
        """Charge bytes that came in to a stage."""
        self._add(stage, StageMetrics(received_bytes=count))

    def totals(self) -> PartyMetrics:
        """Return the account so far, over all starts; running steps count up to now."""
        with self._lock:
            now = self._wall_clock()
            running = {name: StageMetrics(now - since) for name, since in self._since.items()}
            stages = {
                name: self._stages.get(name, StageMetrics()) + running.get(name, StageMetrics())
                for name in (*self._stages, *(each for each in running if each not in self._stages))
            }
        return replace(
            self._before,
            starts=self._before.starts + 1,
            stages=stages,
            process_cpu_seconds=self._before.process_cpu_seconds + self._process_clock(),
            peak_memory_bytes=max(self._before.peak_memory_bytes, peak_memory_bytes()),
        )

    def save(self) -> None:
        """Write the account to its file.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
        """
        with self._saving:
            data = json.dumps({"version": VERSION, **asdict(self.totals())}, indent=1)
            write_guarded(self._path, data.encode(), durable=False)

    def _enter(self, name: str) -> None:
        _check_name(name)
        with self._lock:
            running = self._running.get(name, 0)
            self._running[name] = running + 1
            if not running:
                self._since[name] = self._wall_clock()

    def _leave(self, name: str, cpu_seconds: float) -> None:
        with self._lock:
            self._running[name] -= 1
            wall = 0.0
            if not self._running[name]:
                wall = self._wall_clock() - self._since.pop(name)
            before = self._stages.get(name, StageMetrics())
            self._stages[name] = before + StageMetrics(wall, cpu_seconds)

    def _add(self, name: str, amount: StageMetrics) -> None:
        _check_name(name)
        with self._lock:
            self._stages[name] = self._stages.get(name, StageMetrics()) + amount


def _check_name(name: str) -> None:
    if not STAGE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a stage")


def _decode(saved: dict[str, object], name: str) -> PartyMetrics:
    if saved.pop("version") != VERSION:
        raise ValueError("another version")
    stages = saved.pop("stages")
    if not isinstance(stages, dict):
        raise TypeError("stages")
    metrics = PartyMetrics(
        **saved,  # type: ignore[arg-type]
        stages={each: StageMetrics(**spent) for each, spent in stages.items()},
    )
    if metrics.name != name:
        raise ValueError("the account of another party")
    return metrics
