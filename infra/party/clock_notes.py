"""What an operator found of clocks, kept in its home for the ceremony's report.

Nothing follows from it by rule, so it is no matter of the log (runbooks/adr/0033).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from infra.findings import read_findings, write_findings
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["ClockNote", "ClockNotes", "read_clock_notes"]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ClockNote:
    """A clock that differs by more than the plan allows.

    Attributes:
        code: RF-CLOCK-001 to -003.
        whose: the operator whose clock is wrong, as far as one can tell.
        what: from which clocks it differs.
        found: by how much, when it was found last.
        since: when it was found first, as ISO time by the finder's clock.
        times: how often it came to differ, at least: it is written at every doubling.
    """

    code: str
    whose: str
    what: str
    found: str
    since: str
    times: int


class ClockNotes:
    """Takes the verdicts of `Clocks`: each is logged, and kept."""

    def __init__(self, kept: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Go on with what an earlier process of this home found.

        Args:
            kept: file of what was found.
            now: the clock.
        """
        self._kept, self._now = kept, now
        self._notes = {(each.code, each.whose): each for each in read_clock_notes(kept)}

    def take(self, error: CeremonyError) -> None:
        """Log a verdict and keep it; a disk that refuses is no reason to end a connection."""
        _log.error("clocks", **{key: value for key, value in error.as_dict().items() if value})
        key = (error.code, error.operator)
        known = self._notes.get(key)
        times = known.times + 1 if known else 1
        self._notes[key] = ClockNote(
            error.code,
            error.operator,
            error.subject,
            error.found,
            known.since if known else self._now().isoformat(timespec="seconds"),
            times,
        )
        if times & (times - 1):  # whose clock goes back and forth does not keep our disk busy
            return
        try:
            write_findings(self._kept, self._notes.values())
        except CeremonyError as refusal:
            _log.warning("clocks are not in the report", code=refusal.code)


def read_clock_notes(path: Path) -> tuple[ClockNote, ...]:
    """Return what the operator of a home found; nothing where it found nothing."""
    return read_findings(path, ClockNote)
