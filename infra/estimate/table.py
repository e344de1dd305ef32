"""The prediction as text and as plain values."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.estimate.log import COORDINATOR
from infra.estimate.model import WAITING
from infra.estimate.words import seconds_text, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.estimate.costs import Machine
    from infra.estimate.model import Estimate, Spent
    from mpc_core.protocol.plan import Plan

__all__ = ["as_values", "render"]

SHOWN = ("start", "keys", "N", "S", "M", "seal", "O", WAITING)
BOUNDS = ("cores", "interpreter", "link", "disk", "log")


def as_values(plan: Plan, machine: Machine, found: Estimate) -> dict[str, object]:
    """Return everything, for `--json`: seconds and bytes."""
    names = {COORDINATOR: "coordinator"} | {each.index: each.name for each in plan.operators}
    return {
        "parameters": plan.parameters,
        "operators": plan.count,
        "threshold": plan.threshold,
        "machine": asdict(machine),
        "batches": dict(found.batches),
        "wall_seconds": found.wall_seconds,
        "idle_seconds": found.idle_seconds,
        "phases": [
            {"name": phase.name, "seconds": phase.seconds, "bounds": dict(phase.bounds)}
            for phase in found.phases
        ],
        "cpu_seconds": found.cpu_seconds,
        "server_cpu_seconds": found.server_cpu_seconds,
        "parties": {
            name: {
                "stages": {
                    stage: _spent(found.parties[index, stage])
                    for stage in SHOWN
                    if (index, stage) in found.parties
                },
                "in_all": _spent(found.spent(index)),
            }
            for index, name in names.items()
        },
        "operator_stages": {
            stage: {"memory_bytes": room.memory, "disk_bytes": room.disk}
            for stage, room in found.storage.stages.items()
        },
        "operator_memory_bytes": found.storage.operator_memory,
        "operator_disk_bytes": found.storage.operator_disk,
        "coordinator_memory_bytes": found.storage.coordinator_memory,
        "coordinator_disk_bytes": found.storage.coordinator_disk,
        "sandbox_memory_bytes": found.storage.machine_memory(plan.count),
        "sandbox_disk_bytes": found.storage.machine_disk(plan.count),
    }


def render(plan: Plan, machine: Machine, found: Estimate) -> str:
    """Return the prediction as lines for a person."""
    return "\n".join(_lines(plan, machine, found))


def _spent(spent: Spent) -> dict[str, float]:
    return {
        "cpu_seconds": spent.cpu_seconds,
        "sent_bytes": spent.traffic.out,
        "received_bytes": spent.traffic.into,
    }


def _lines(plan: Plan, machine: Machine, found: Estimate) -> Iterator[str]:
    batches = ", ".join(f"{count} of {stage}" for stage, count in found.batches.items())
    yield (
        f"{plan.parameters}: {plan.count} operators, of whom {plan.threshold} may crash or lie; "
        f"batches: {batches}"
    )
    yield _where(machine)
    yield ""
    yield _row("phase", "time", "scarce", *(f"{name}" for name in BOUNDS))
    for phase in found.phases:
        alone = (seconds_text(phase.bounds[name]) for name in BOUNDS)
        yield _row(phase.name, seconds_text(phase.seconds), phase.bound, *alone)
    yield _row("waits", seconds_text(found.idle_seconds))
    yield _row("in all", seconds_text(found.wall_seconds))
    yield from _operator(plan, found)
    yield ""
    yield _row("coordinator", "CPU", "sent", "received")
    for stage in SHOWN:
        if (COORDINATOR, stage) in found.parties:
            yield _row(stage, *_figures(found.parties[COORDINATOR, stage]))
    yield _row("in all", *_figures(found.spent(COORDINATOR)))
    yield ""
    yield f"CPU of all processes {seconds_text(found.cpu_seconds)}"
    yield from _room(plan, machine, found)


def _operator(plan: Plan, found: Estimate) -> Iterator[str]:
    """Yield what the first operator takes in each stage; `--json` has all of them."""
    yield ""
    yield _row(f"operator {plan.name_of(1)}", "CPU", "sent", "received", "memory", "adds on disk")
    for stage in SHOWN:
        if (1, stage) in found.parties:
            room = found.storage.stages.get(stage)
            held = (size_text(room.memory), size_text(room.disk)) if room else ()
            yield _row(stage, *_figures(found.parties[1, stage]), *held)
    yield _row("in all", *_figures(found.spent(1)), size_text(found.storage.operator_memory))


def _room(plan: Plan, machine: Machine, found: Estimate) -> Iterator[str]:
    storage = found.storage
    yield (
        f"an operator: memory {size_text(storage.operator_memory)}, "
        f"disk {size_text(storage.operator_disk)}"
    )
    yield (
        f"the coordinator: memory {size_text(storage.coordinator_memory)}, "
        f"disk {size_text(storage.coordinator_disk)}"
    )
    if machine.sandbox:
        yield (
            f"this machine: memory {size_text(storage.machine_memory(plan.count))}, "
            f"disk {size_text(storage.machine_disk(plan.count))}"
        )


def _where(machine: Machine) -> str:
    shared = f"{machine.operators} operators on a machine" if machine.operators > 1 else ""
    parts = [
        "everything on one machine" if machine.sandbox else shared or "an operator on a machine",
        f"{machine.cores} cores",
        f"{machine.bandwidth / 1e6:,.0f} Mbit/s" if machine.bandwidth else "no limit of bandwidth",
        f"round trips of {machine.rtt * 1000:.0f} ms",
    ]
    return ", ".join(parts)


def _figures(spent: Spent) -> tuple[str, str, str]:
    traffic = spent.traffic
    return seconds_text(spent.cpu_seconds), size_text(traffic.out), size_text(traffic.into)


def _row(name: str, *figures: str) -> str:
    return f"{name:<18}" + "".join(f"{figure:>14}" for figure in figures)
