"""A process between TUN devices that delays, loses and paces what parties send to each other.

It stands in for the kernel's `netem`. Each namespace has one device, `DEVICE`, whose other end is a
descriptor here; packets wait in `Lines` and are written to the device of their receiver when their
time has come. Joined segments pass in one piece, so that a core carries gigabits per second.

`python -m infra.network.relay` reads a `Task` as JSON from standard input, makes the devices,
writes "ready" and works until it is ended.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import struct
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from infra.network.lines import Lines, LinkShape
from infra.network.packets import PREFIX, parse_packet

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEVICE", "TUN", "Task"]

TUN = "/dev/net/tun"
DEVICE = "wan0"

CLONE_NEWNET = 0x40000000
TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
CHECKSUMS_AND_TCP_SEGMENTS = 0x01 | 0x02
LONGEST = PREFIX.size + (1 << 16)
MOST_READS = 32
"""Packets read from one device before the others have their turn."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a relay does.

    Attributes:
        seed: of all losses.
        links: for each party the path of its namespace, its address as an integer, its line.
    """

    seed: int
    links: tuple[tuple[str, int, LinkShape], ...]

    def to_json(self) -> str:
        """Return the task as one line."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def of_json(cls, text: str) -> Task:
        """Read a task."""
        said = json.loads(text)
        links = ((path, address, LinkShape(**shape)) for path, address, shape in said["links"])
        return cls(said["seed"], tuple(links))


def open_device(namespace: str) -> int:
    """Make the device in a namespace, which this thread enters, and return its descriptor."""
    target = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(target, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(target)
    descriptor = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), flags))
    fcntl.ioctl(descriptor, TUNSETOFFLOAD, CHECKSUMS_AND_TCP_SEGMENTS)
    return descriptor


def carry(devices: Mapping[int, int], lines: Lines) -> None:
    """Move packets between devices for ever.

    Args:
        devices: descriptors by address.
        lines: where packets wait.
    """
    waiting = list(devices.values())
    while True:
        due = lines.next_due
        pause = None if due is None else max(0.0, due - time.monotonic())
        readable, _, _ = select.select(waiting, (), (), pause)
        for descriptor in readable:
            _take_in(descriptor, lines)
        for packet in lines.due(time.monotonic()):
            # A device that is down or full loses the packet, as any other would.
            with suppress(OSError):
                os.write(devices[packet.destination], packet.data)


def _take_in(descriptor: int, lines: Lines) -> None:
    now = time.monotonic()
    for _ in range(MOST_READS):
        try:
            data = os.read(descriptor, LONGEST)
        except OSError:
            return
        packet = parse_packet(data)
        if packet is not None:
            lines.offer(now, packet)


def main() -> None:
    """Carry out the task on standard input."""
    task = Task.of_json(sys.stdin.readline())
    devices = {address: open_device(path) for path, address, _ in task.links}
    lines = Lines.of({address: shape for _, address, shape in task.links}, task.seed)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    carry(devices, lines)


if __name__ == "__main__":
    main()
