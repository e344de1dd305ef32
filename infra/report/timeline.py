"""How long each stage took, as the sandbox saw it start and end, over all starts of a ceremony."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from infra.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Timeline"]


class Timeline:
    """Adds up the seconds of every stage; a stage that a stop cut short goes on at the resume.

    Attributes:
        seconds: what each stage took so far, in the order in which they began.
        total: seconds over all starts up to the last `save`.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Continue the account in `path`; a damaged one starts anew."""
        self._path = path
        self._clock = clock
        self._began = clock()
        self._since: dict[str, float] = {}
        self.seconds, self._before = _read(path)

    @property
    def total(self) -> float:
        """Seconds over all starts, up to now."""
        return self._before + self._clock() - self._began

    def note(self, event: Mapping[str, object]) -> None:
        """Take note of an event of the sandbox, if it is about the start or end of a stage."""
        if event["event"] == "stage":
            change = self.started if event["state"] == "started" else self.done
            change(str(event["stage"]))

    def started(self, stage: str) -> None:
        """Note that a stage began or goes on."""
        self.seconds.setdefault(stage, 0.0)
        self._since.setdefault(stage, self._clock())

    def done(self, stage: str) -> None:
        """Note that a stage ended; one that never began takes no time."""
        since = self._since.pop(stage, None)
        if since is not None:
            self.seconds[stage] += self._clock() - since

    def save(self) -> None:
        """End the stages that still run and keep the account for the next start.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
        """
        for stage in tuple(self._since):
            self.done(stage)
        account = {"seconds": self.seconds, "total": self.total}
        write_atomic(self._path, json.dumps(account).encode(), durable=False)


def _read(path: Path) -> tuple[dict[str, float], float]:
    try:
        account = json.loads(path.read_bytes())
        seconds = {str(stage): float(value) for stage, value in account["seconds"].items()}
        return seconds, float(account["total"])
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return {}, 0.0
