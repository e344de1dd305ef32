"""The table at the end of a drill: what was survived how often, and how fast it went on."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.drill.chaos_run import Happened

__all__ = ["rows", "table"]

ALL = "all"
WIDTH = 60


def rows(happened: Sequence[Happened], batch_seconds: float) -> list[dict[str, object]]:
    """Return a row for each kind of disturbance; times to resume are in units of a batch."""
    kinds: dict[str, list[Happened]] = defaultdict(list)
    for each in happened:
        kinds[each.disturbance.label].append(each)
    found = [_row(label, kinds[label], batch_seconds) for label in sorted(kinds)]
    return [*found, _row(ALL, happened, batch_seconds)]


def table(happened: Sequence[Happened], batch_seconds: float) -> str:
    """Return the rows for people."""
    lines = [f"{'disturbance':<{WIDTH}}{'survived':>9}{'median':>8}{'at most':>9}"]
    lines += [
        f"{row['disturbance']:<{WIDTH}}{row['survived']:>9}"
        f"{_number(row['median_batches'])}{_number(row['most_batches'], 9)}"
        for row in rows(happened, batch_seconds)
    ]
    lines.append(
        "times from the end of the outage to the next step of the ceremony, in units of the median "
        f"time of a batch, {batch_seconds:.2f} s"
    )
    return "\n".join(lines)


def _row(label: str, happened: Sequence[Happened], batch_seconds: float) -> dict[str, object]:
    ratios = [each.seconds / batch_seconds for each in happened if each.seconds is not None]
    return {
        "disturbance": label,
        "survived": len(happened),
        "median_batches": round(statistics.median(ratios), 1) if ratios else None,
        "most_batches": round(max(ratios), 1) if ratios else None,
        "resumed_after_batches": [round(ratio, 1) for ratio in ratios],
    }


def _number(value: object, width: int = 8) -> str:
    return f"{'-' if value is None else value:>{width}}"
