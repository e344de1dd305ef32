"""`ringforge decrypt` from the file to its values.

The log of its host is read before and after. If it has the opened phases of this very list, they
are shown again and nothing is started. Otherwise the parties are started as in a sandbox: n-t
operators sign a request, which owns its floods for ever, and open the flooded phases. Whatever
interrupts that, the same command takes the same request up again.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.cli.ending import print_json
from infra.decrypt.files import check_ceremony, read_list
from infra.decrypt.record import host_of, outbox_of, record_of
from infra.homes import CeremonyFolder
from infra.plan import load_signed_plan
from infra.sandbox.commands import Errand
from infra.sandbox.display import choose_display
from infra.sandbox.stopping import signals_as_interrupt
from infra.sandbox.supervisor import Supervisor
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from infra.decrypt.record import Record
    from infra.sandbox.display import Display

__all__ = ["Decrypted", "decrypt", "decrypt_command"]

ANOTHER_TIME = "give the same command again; it goes on with the same floods"


@dataclass(frozen=True, slots=True)
class Decrypted:
    """The values of a list.

    Attributes:
        values: in the order in which they were encrypted.
        again: whether they were decrypted before, and are shown from the log.
        openings_left: how many ciphertexts may still be decrypted in this ceremony.
    """

    values: tuple[int | bool, ...]
    again: bool
    openings_left: int


def decrypt_command(folder: Path, file: Path, *, as_json: bool) -> int:
    """Decrypt a list and write its values to standard output, one on a line.

    Args:
        folder: the ceremony's folder.
        file: a compact ciphertext list.
        as_json: every event, and the values last, as JSON lines instead.

    Returns:
        0.

    Raises:
        CeremonyError: the reason why there are no values.
    """
    display = choose_display()
    emit: Callable[[dict[str, object]], None] = print_json if as_json else _say_nothing
    try:
        result = decrypt(CeremonyFolder(folder), file, display, emit)
    finally:
        display.close()
    if as_json:
        left = result.openings_left
        values = {"values": result.values, "again": result.again, "openings_left": left}
        print_json({"event": "result", **values})
    else:
        sys.stdout.write("".join(f"{_written(value)}\n" for value in result.values))
    return 0


def decrypt(
    folder: CeremonyFolder,
    file: Path,
    display: Display,
    emit: Callable[[dict[str, object]], None],
) -> Decrypted:
    """Have a list decrypted, or return what it was decrypted to before.

    Args:
        folder: the ceremony's folder.
        file: the list.
        display: where progress is shown.
        emit: takes every event as a dictionary.

    Raises:
        CeremonyError: RF-RUN-009 if it was stopped by a signal, otherwise as `check_ceremony`,
            `read_list`, `Record` and `Supervisor.run`.
    """
    folder.check()
    plan = load_signed_plan(folder.root).plan
    check_ceremony(folder, plan)
    data, ciphertexts = read_list(file, plan)
    root = chunk_root(data, plan.layout.leaf_bytes)
    try:
        with signals_as_interrupt(), folder.locked():
            host = host_of(folder, plan)
            record = record_of(host, plan)
            values = record.values(root, ciphertexts)
            if values is not None:
                display.say("this list was decrypted before; its values stand on the log")
                return Decrypted(values, again=True, openings_left=record.openings_left)
            record.check_grants(root, ciphertexts.count)
            outbox_of(host, plan).publish(data, "O")
            errand = Errand(root.hex(), ANOTHER_TIME, host=host.name)
            Supervisor(folder, plan, display=display, emit=emit, errand=errand).run()
            record = record_of(host, plan)
            values = record.values(root, ciphertexts)
    except KeyboardInterrupt as interrupt:
        raise _stopped(folder, file) from interrupt
    if values is None:
        raise _nothing_came_out(record)
    return Decrypted(values, again=False, openings_left=record.openings_left)


def _written(value: int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _say_nothing(_: object) -> None:
    """Take an event that nobody asked for."""


def _stopped(folder: CeremonyFolder, file: Path) -> CeremonyError:
    return CeremonyError(
        "RF-RUN-009",
        "the decryption was stopped before the values were there",
        effect="everything is stopped; floods that were granted stay with this list",
        next_step=shlex.join(["ringforge", "decrypt", str(folder.root), str(file)]),
        runbook="resume",
    )


def _nothing_came_out(record: Record) -> CeremonyError:
    return CeremonyError(
        "RF-RUN-034",
        "the parties ended, but the opened phases are not with the host of the log",
        expected="the opening of this list on the log and in the outbox",
        found=f"a log of {record.state.size} entries without it",
        effect="no value is shown; floods that were granted stay with this list",
        next_step=ANOTHER_TIME,
        runbook="resume",
    )
