"""A party's own clock: seconds that never go back, whatever the clock below does.

The protocol compares no clocks; each party only measures how long it has waited. A clock that jumps
ahead makes one of n-t parties impatient. One that jumps back must not keep its party waiting until
it has caught up, so a jump back counts as no time at all.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mpc_core.protocol.plan import Plan

__all__ = ["Steady", "party_clock"]


class Steady:
    """Seconds of another clock, without its jumps back; safe to use from several threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Follow a clock."""
        self._clock = clock
        self._lock = threading.Lock()
        self._last = clock()
        self._lost = 0.0

    def __call__(self) -> float:
        """Return the seconds so far."""
        with self._lock:
            now = self._clock()
            self._lost += max(0.0, self._last - now)
            self._last = now
            return now + self._lost


def party_clock(plan: Plan, insecure_offset: Path | None) -> Callable[[], float]:
    """Return the clock of a party.

    Args:
        plan: the signed plan.
        insecure_offset: file with seconds by which a drill moves the clock, if one does.

    Raises:
        CeremonyError: RF-RUN-035 if a plan that is no sandbox's is to have such a file.
    """
    if insecure_offset is None:
        return time.monotonic
    if not plan.sandbox:
        raise CeremonyError(
            "RF-RUN-035",
            "a clock that can be moved is for sandboxes only",
            expected="a plan with sandbox = true",
            found="a plan without it",
            effect="nothing was started",
            next_step="leave out --insecure-clock-offset",
            runbook="clock-skew",
        )
    return Steady(lambda: time.monotonic() + _offset(insecure_offset))


def _offset(path: Path) -> float:
    """Return what the file says; a file that is not there, or being written, says nothing."""
    try:
        return float(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0.0
