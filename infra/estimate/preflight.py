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
    from infra.homes import Home
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.plan import Plan

__all__ = ["Room", "check_operator", "check_sandbox", "room_at"]

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


@dataclass(frozen=True, slots=True)
class _Needs:
    """What somebody who is about to start needs, and how it could be less.

    Attributes:
        memory: bytes.
        disk: bytes.
        memory_of: what the memory is for.
        disk_of: what the disk is for.
        less_memory: which option reduces it.
        less_disk: which option reduces it.
    """

    memory: int
    disk: int
    memory_of: str
    disk_of: str
    less_memory: str
    less_disk: str

    def check(self, room: Room, folder: Path) -> None:
        """Compare with what is there; what is unknown suffices.

        Raises:
            CeremonyError: RF-RUN-015 if the memory does not suffice, RF-RUN-016 if the disk does
                not.
        """
        if room.memory is not None and self.memory > room.memory:
            raise CeremonyError(
                "RF-RUN-015",
                "the memory of this machine does not suffice for the plan",
                expected=f"{size_text(self.memory)}: {self.memory_of}",
                found=f"{size_text(room.memory)} available",
                effect="nothing was started",
                next_step=f"{self.less_memory}; `ringforge estimate` shows what each takes",
                runbook="not-enough-room",
            )
        if room.disk is not None and self.disk > room.disk:
            raise CeremonyError(
                "RF-RUN-016",
                "the disk does not suffice for the plan",
                expected=f"{size_text(self.disk)}: {self.disk_of}",
                found=f"{size_text(room.disk)} free at {folder}",
                effect="nothing was started",
                next_step=f"{self.less_disk}; `ringforge estimate` shows what each takes",
                runbook="not-enough-room",
            )


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
    count, storage = plan.count, _storage(plan, layout)
    _Needs(
        memory=storage.machine_memory(count),
        disk=storage.machine_disk(count),
        memory_of=f"{count} times {size_text(storage.operator_memory)} for an operator, "
        f"{size_text(storage.coordinator_memory)} for the coordinator",
        disk_of=f"{size_text(storage.openings)} of opened values, {count} times "
        f"{size_text(storage.operator_own)} for an operator, "
        f"{size_text(storage.result)} for the key set",
        less_memory="close other programs, or choose fewer --operators, a larger --scale or a "
        "plan with fewer batches_in_flight",
        less_disk="choose a folder on another disk with --dir, fewer --operators or a larger "
        "--scale",
    ).check(room, folder)


def check_operator(plan: Plan, layout: CeremonyLayout, home: Home, room: Room) -> None:
    """Check that an operator's part of a ceremony fits on its machine, before it begins.

    One that has begun is not checked: it has part of what it needs, and a full disk makes it wait.

    Args:
        plan: its plan.
        layout: its batches.
        home: the operator's.
        room: what is there.

    Raises:
        CeremonyError: RF-RUN-015 if the memory does not suffice, RF-RUN-016 if the disk does not.
    """
    if home.log_copy.exists():
        return
    storage = _storage(plan, layout)
    shared = home.shared_openings is not None
    openings = "beside the openings of this machine" if shared else "the openings included"
    _Needs(
        memory=storage.operator_memory,
        disk=storage.operator_own if shared else storage.operator_disk,
        memory_of="for this operator's process at its peak",
        disk_of=f"for this operator, {openings}",
        less_memory="close other programs or take a larger machine; a plan with fewer "
        "batches_in_flight takes less",
        less_disk="free some, or move this home to another disk",
    ).check(room, home.path)


def _storage(plan: Plan, layout: CeremonyLayout) -> Storage:
    quorum = Quorum.of(plan)
    return storage_of(lookup(plan.parameters), layout, quorum, plan.layout.batches_in_flight)


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
