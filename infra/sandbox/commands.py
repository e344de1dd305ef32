"""The commands of a ceremony's processes: those that production uses too, by this very Python."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpc_core.protocol.plan import COORDINATOR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from infra.network.places import Reach

__all__ = ["Errand", "as_typed", "party_command"]

INTERPRETER = (sys.executable, "-m", "infra.cli")


@dataclass(frozen=True, slots=True)
class Errand:
    """What the parties of a ceremony are started for.

    Attributes:
        ciphertext: Merkle root, in hex, of a list to decrypt; "" to create the key set.
        again: how a person goes on after a stop.
        keep_openings: whether the transcript keeps every opened value.
        host: the party that hosts the log.
        take_over: whether the log is moved to that party first.
    """

    ciphertext: str = ""
    again: str = "give the same command with --resume"
    keep_openings: bool = False
    host: str = COORDINATOR
    take_over: bool = False


def party_command(
    role: str,
    home: Path,
    temporal: str,
    reach: Reach,
    *,
    board: str = "",
    ciphertext: str = "",
    keep_openings: bool = False,
    shared_openings: Path | None = None,
    insecure_clock_offset: Path | None = None,
    take_over: Mapping[str, str] | None = None,
    database: str = "",
    insecure_lie: str = "",
    insecure_local_kms: str = "",
) -> list[str]:
    """Return the command that runs a party.

    Args:
        role: "coordinator" or "operator".
        home: the party's home.
        temporal: address of the Temporal server.
        reach: how the party and the others reach each other.
        board: address of the log, for an operator.
        ciphertext: Merkle root of the list that a coordinator is to have decrypted, if any.
        keep_openings: whether a coordinator is to keep every opened value in the transcript.
        shared_openings: where the parties on this machine keep opened values once.
        insecure_clock_offset: file with the seconds by which a drill moves the party's clock.
        take_over: addresses of operators, for a coordinator to which the log is moved.
        database: URL of the log's database, for a coordinator that keeps it elsewhere.
        insecure_lie: how an operator of a drill lies, if it does.
        insecure_local_kms: URL of the sandbox's key service, for an operator with a sealed vault.
    """
    command = [*INTERPRETER, role, "run", "--home", str(home.absolute()), "--temporal", temporal]
    command += ["--listen", reach.listen, "--ranges", str(reach.ranges)]
    command += ["--port", str(reach.port)] if reach.port else []
    command += ["--board", board] if board else []
    command += ["--database", database] if database else []
    command += ["--insecure-lie", insecure_lie] if insecure_lie else []
    command += ["--insecure-local-kms", insecure_local_kms] if insecure_local_kms else []
    command += ["--keep-openings"] if keep_openings else []
    if shared_openings is not None:
        command += ["--shared-openings", str(shared_openings.absolute())]
    if insecure_clock_offset is not None:
        command += ["--insecure-clock-offset", str(insecure_clock_offset.absolute())]
    if take_over is not None:
        command.append("--take-over")
        for name, address in take_over.items():
            command += ["--operator", f"{name}={address}"]
    return [*command, "--decrypt", ciphertext] if ciphertext else command


def as_typed(command: list[str], entering: Sequence[str] = ()) -> str:
    """Return a party's command as a person types it, after the words that enter its network."""
    return shlex.join([*entering, "ringforge", *command[len(INTERPRETER) :]])
