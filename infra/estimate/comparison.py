"""What a finished ceremony took beside what is predicted for it: `ringforge estimate --compare`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.estimate.costs import Machine
from infra.estimate.log import COORDINATOR
from infra.estimate.words import seconds_text, size_text
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from infra.estimate.model import Estimate
    from mpc_core.protocol.plan import Plan

__all__ = ["Compared", "compare", "comparison_table", "machine_of", "read_report"]

REPORT = "report.json"
GOAL = 0.15
"""How far a prediction may be off, as a share of what was measured."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure.

    Attributes:
        name: what it is.
        predicted: seconds or bytes.
        measured: the same.
        text: shows it to a person.
    """

    name: str
    predicted: float
    measured: float
    text: Callable[[float], str]

    @property
    def error(self) -> float:
        """How much too high the prediction is, as a share of what was measured."""
        return self.predicted / self.measured - 1


def read_report(ceremony: Path) -> dict[str, Any]:
    """Return the report of a finished ceremony.

    Raises:
        CeremonyError: RF-RUN-017 if there is none.
    """
    try:
        found: dict[str, Any] = json.loads((ceremony / REPORT).read_bytes())
    except (OSError, ValueError) as error:
        raise CeremonyError(
            "RF-RUN-017",
            f"{ceremony.name} has no report that can be read",
            expected=f"the folder of a finished sandbox ceremony, with {REPORT}",
            found=type(error).__name__,
            effect="nothing was compared",
            next_step="run `ringforge sandbox --resume` for it until it has finished",
            runbook="start",
        ) from error
    return found


def machine_of(report: dict[str, Any]) -> Machine:
    """Return where a reported ceremony ran; lines that differ count as the first one."""
    cores, count = report["machine"]["cpus"], len(report["operators"])
    if report["network"] is None:
        return Machine(0.0, 0.0, cores, count, sandbox=True)
    line = report["network"]["links"][0]
    rate, delay = line["rate_bits_per_second"] or 0, line["delay_seconds"]
    # Every operator has a line of its own; the model's machine has one link for all of them.
    return Machine(rate * count, 2 * delay, cores, count, sandbox=True)


def compare(plan: Plan, found: Estimate, report: dict[str, Any]) -> tuple[Compared, ...]:
    """Return the figures of a ceremony; those of operators are means.

    Args:
        plan: its plan.
        found: what is predicted for it.
        report: what it took.
    """
    spent = [found.spent(index) for index in range(1, plan.count + 1)]
    storage = found.storage
    rows = [
        Compared("time", found.wall_seconds, report["wall_seconds"], seconds_text),
        Compared(
            "CPU of an operator",
            _mean([each.cpu_seconds for each in spent]),
            _mean([each["cpu_seconds"] for each in report["operators"]]),
            seconds_text,
        ),
        Compared(
            "CPU of the coordinator",
            found.spent(COORDINATOR).cpu_seconds,
            report["coordinator"]["cpu_seconds"],
            seconds_text,
        ),
        Compared(
            "sent by an operator",
            _mean([each.traffic.out for each in spent]),
            _mean([each["sent_bytes"] for each in report["operators"]]),
            size_text,
        ),
        Compared(
            "memory of an operator",
            storage.operator_memory,
            max(each["peak_memory_bytes"] for each in report["operators"]),
            size_text,
        ),
    ]
    if report.get("peak_disk_bytes"):
        predicted = storage.machine_disk(plan.count)
        rows.append(
            Compared("disk of the machine", predicted, report["peak_disk_bytes"], size_text)
        )
    return tuple(rows)


def comparison_table(rows: Sequence[Compared]) -> str:
    """Return the figures as lines for a person."""
    return "\n".join(_lines(rows))


def _lines(rows: Sequence[Compared]) -> Iterator[str]:
    yield f"{'':<24}{'predicted':>14}{'measured':>14}{'off by':>10}"
    for row in rows:
        texts = f"{row.text(row.predicted):>14}{row.text(row.measured):>14}"
        goal = "" if abs(row.error) <= GOAL else f"  more than {GOAL:.0%}"
        yield f"{row.name:<24}{texts}{row.error:>+10.0%}{goal}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
