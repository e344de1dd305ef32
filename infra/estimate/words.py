"""Times and sizes in words."""

from __future__ import annotations

__all__ = ["seconds_text", "size_text"]

MINUTE, HOUR = 60, 3600
UNITS = ("B", "kB", "MB", "GB", "TB")
STEP = 1000


def seconds_text(seconds: float) -> str:
    """Return a time for a person: 8.4 s, 12 min 5 s, 3 h 20 min."""
    if seconds < MINUTE / 6:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"


def size_text(size: float) -> str:
    """Return a number of bytes for a person: 800 B, 1.3 MB, 20 GB."""
    power = 0
    while size >= STEP and power < len(UNITS) - 1:
        size, power = size / STEP, power + 1
    digits = 1 if power and size < STEP / 10 else 0
    return f"{size:.{digits}f} {UNITS[power]}"
