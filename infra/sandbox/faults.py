"""How a sandbox ends when it does not end well, and what to do then."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from pathlib import Path

    from infra.homes import CeremonyFolder
    from infra.sandbox.events import Failed
    from infra.sandbox.processes import Exited

__all__ = ["coordinator_ended", "ended_with", "nobody_left", "resume_command", "stopped"]

NOTHING_LOST = "everything is stopped and nothing is lost"
TAIL_BYTES, TAIL_SHOWN = 4096, 300


def resume_command(folder: CeremonyFolder) -> str:
    """Return the command that continues a ceremony."""
    arguments = ["--dir", str(folder.root.parent), "--id", folder.root.name, "--resume"]
    return shlex.join(["ringforge", "sandbox", *arguments])


def stopped(folder: CeremonyFolder | None) -> CeremonyError:
    """Return the error for a sandbox that somebody stopped; RF-RUN-009 means exit code 3."""
    return CeremonyError(
        "RF-RUN-009",
        "the sandbox was stopped before the key set was ready",
        effect=NOTHING_LOST if folder else "nothing had been started",
        next_step=resume_command(folder) if folder else "give the same command again",
        runbook="resume",
    )


def ended_with(failure: Failed, again: str) -> CeremonyError:
    """Return the error that a process reported before it ended; `again` says how to go on."""
    return CeremonyError(
        failure.code,
        failure.subject,
        expected=failure.expected,
        found=failure.found,
        effect=failure.effect or NOTHING_LOST,
        next_step=failure.next or f"read the reason, then {again}",
        runbook=failure.runbook,
        operator=failure.operator,
        stage=failure.stage,
    )


def coordinator_ended(message: Exited, log: Path, again: str) -> CeremonyError:
    """Return the error for a coordinator that ended without a word."""
    return CeremonyError(
        "RF-RUN-006",
        "the coordinator ended before its work was done",
        expected="a coordinator that runs until the result is there",
        found=f"{message.reason}, with the last words: {_last_words(log)}",
        effect=NOTHING_LOST,
        next_step=f"read {log}, then {again}",
        runbook="resume",
    )


def nobody_left(message: Exited, again: str) -> CeremonyError:
    """Return the error for a ceremony whose last operator ended."""
    return CeremonyError(
        "RF-RUN-007",
        "no operator is left",
        expected="at least n - t operators, to make progress",
        found=f"{message.name}, the last one, {message.reason}",
        effect=NOTHING_LOST,
        next_step=f"read the reason, then {again}",
        runbook="an-operator-is-down",
        operator=message.name,
    )


def _last_words(log: Path) -> str:
    """Return the last line of a process log, shortened."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "none")[:TAIL_SHOWN]
