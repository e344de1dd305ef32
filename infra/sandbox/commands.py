"""The commands of a ceremony's processes: those that production uses too, by this very Python."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["as_typed", "party_command"]

INTERPRETER = (sys.executable, "-m", "infra.cli")


def party_command(role: str, home: Path, temporal: str, board: str = "") -> list[str]:
    """Return the command that runs a party.

    Args:
        role: "coordinator" or "operator".
        home: the party's home.
        temporal: address of the Temporal server.
        board: address of the log, for an operator.
    """
    command = [*INTERPRETER, role, "run", "--home", str(home.absolute()), "--temporal", temporal]
    return [*command, "--board", board] if board else command


def as_typed(command: list[str]) -> str:
    """Return a party's command as a person types it."""
    return shlex.join(["ringforge", *command[len(INTERPRETER) :]])
