"""Clocks that go forward when a drill says so."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Clock", "SkewedClock"]


@dataclass
class Clock:
    """A clock that stands still until it is advanced."""

    now: float = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@dataclass
class SkewedClock(Clock):
    """One party's own clock: it goes at its own rate and may be set to any other time.

    Attributes:
        true: the time that everybody's steps take.
        rate: seconds on this clock in a true second.
    """

    true: Clock = field(default_factory=Clock)
    rate: float = 1.0
    _read_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Begin now."""
        self._read_at = self.true.now

    def look(self) -> float:
        """Return the time, having let it pass."""
        self.now += (self.true.now - self._read_at) * self.rate
        self._read_at = self.true.now
        return self.now
