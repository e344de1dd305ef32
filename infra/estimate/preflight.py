"""Whether memory and disk suffice, asked before anything is started.

A ceremony that fills a disk loses nothing, but it stands still at an hour that nobody chose; one
that fills the memory loses its processes. What is needed is the model's figure, what is there is
what the operating system says.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.estimate.storage import storage_of
from infra.estimate.words import size_text
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.quorum import Quorum
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from infra.estimate.storage import Storage
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.plan import Plan

__all__ = ["Room", "check_room", "check_sandbox", "room_at"]

MEMORY_FILE = Path("/proc/meminfo")
AVAILABLE = "MemAvailable:"
KIBIBYTE = 1024


@dataclass(frozen=True, slots=True)
class Room:
    """What is there, in bytes; None is unknown.

    Attributes:
        memory: that processes can still take without pushing others out.
        disk: that files of this user can still take.
    """

    memory: int | None
    disk: int | None


def room_at(folder: Path) -> Room:
    """Return the memory of this machine and the disk of a folder, which may not exist yet."""
    return Room(_free_memory(MEMORY_FILE), _free_disk(folder))


def check_sandbox(plan: Plan, layout: CeremonyLayout, folder: Path, room: Room) -> None:
    """Check that a whole ceremony fits on this machine.

    Args:
        plan: its plan.
        layout: its batches.
        folder: where its folder will be.
        room: what is there.

    Raises:
        CeremonyError: RF-RUN-015 if the memory does not suffice, RF-RUN-016 if the disk does not.
    """
    quorum = Quorum.of(plan)
    storage = storage_of(lookup(plan.parameters), layout, quorum, plan.layout.batches_in_flight)
    needed = Room(storage.machine_memory(plan.count), storage.machine_disk(plan.count))
    check_room(needed, room, folder, _sandbox_shares(plan, storage))


def check_room(needed: Room, room: Room, folder: Path, shares: tuple[str, str]) -> None:
    """Compare what is needed with what is there.

    Args:
        needed: by whoever is about to start.
        room: what is there; what is unknown suffices.
        folder: where files will be.
        shares: what memory and disk are needed for, in words.

    Raises:
        CeremonyError: RF-RUN-015 if the memory does not suffice, RF-RUN-016 if the disk does not.
    """
    if needed.memory is not None and room.memory is not None and needed.memory > room.memory:
        raise CeremonyError(
            "RF-RUN-015",
            "the memory of this machine does not suffice for the plan",
            expected=f"{size_text(needed.memory)}: {shares[0]}",
            found=f"{size_text(room.memory)} available",
            effect="nothing was started",
            next_step="close other programs, or choose fewer --operators, a larger --scale or a "
            "plan with fewer batches_in_flight; `ringforge estimate` shows what each takes",
            runbook="not-enough-room",
        )
    if needed.disk is not None and room.disk is not None and needed.disk > room.disk:
        raise CeremonyError(
            "RF-RUN-016",
            "the disk does not suffice for the plan",
            expected=f"{size_text(needed.disk)}: {shares[1]}",
            found=f"{size_text(room.disk)} free at {folder}",
            effect="nothing was started",
            next_step="choose a folder on another disk with --dir, leave out --keep-openings, or "
            "choose fewer --operators or a larger --scale; `ringforge estimate` shows what each "
            "takes",
            runbook="not-enough-room",
        )


def _sandbox_shares(plan: Plan, storage: Storage) -> tuple[str, str]:
    """Return what memory and disk of a sandbox are needed for."""
    count = plan.count
    memory = (
        f"{count} times {size_text(storage.operator_memory)} for an operator, "
        f"{size_text(storage.coordinator_memory)} for the coordinator"
    )
    disk = (
        f"{size_text(storage.openings)} of opened values, {count} times "
        f"{size_text(storage.operator_own)} for an operator, "
        f"{size_text(storage.result)} for the key set"
    )
    return memory, disk


def _free_memory(source: Path) -> int | None:
    """Return the available memory as the kernel estimates it, None where it does not."""
    try:
        lines = source.read_text().splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith(AVAILABLE))
    return next((int(kibibytes) * KIBIBYTE for kibibytes in found), None)


def _free_disk(folder: Path) -> int | None:
    """Return the free bytes of the file system in which a folder is or will be."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    try:
        status = os.statvfs(place)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize
