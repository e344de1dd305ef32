"""The one process of an enclave: `python3 -m infra.image.start`, as the image says.

It asks the parent for the launch document, gives every address that the operator uses to the
loopback device with a relay behind it, writes the home into memory and runs the operator there.
"""

from __future__ import annotations

import base64
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from infra.homes import Home
from infra.image.launch import MOST_BYTES, Launch, read_launch
from infra.image.relay import PARENT, relay, tcp, vsock
from infra.loop import BackgroundLoop
from infra.plan.signing import verify_signed_plan, write_signed_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.image.relay import End

__all__ = ["main", "open_ways", "raise_loopback", "relays_of", "write_home"]

LAUNCH_PORT = 7000
"""Port of the parent that hands out the launch document."""

HOMES = Path("/run/ringforge")
"""In memory: an enclave has nothing else."""

HOSTS = Path("/etc/hosts")
REGION = "AWS_DEFAULT_REGION"
"""Where the libraries of AWS look for the region of key and bucket."""

SET_FLAGS, SET_ADDRESS, SET_MASK = 0x8914, 0x8916, 0x891C
UP = 0x1
NAMED = "127.0.1.{}"
"""Where names are found; there are fewer than 255."""


def main() -> int:
    """Run the operator that the parent names until it ends."""
    launch = read_launch(_ask_parent())
    raise_loopback()
    open_ways(launch, HOSTS)
    relays = BackgroundLoop("relays")
    for at, to in relays_of(launch):
        relays.run(relay(at, to))
    os.environ[REGION] = launch.region
    home = write_home(launch, HOMES)
    from infra.network.places import Reach  # noqa: PLC0415 - after the first error can be shown
    from infra.operator import run_operator  # noqa: PLC0415

    reach = Reach(launch.listen, port=launch.port)
    return run_operator(home, launch.temporal, launch.board, reach)


def relays_of(launch: Launch) -> Iterator[tuple[End, End]]:
    """Yield what is relayed to where: every way out, and the way in."""
    for address, way in zip(_addresses(launch), launch.ways, strict=True):
        yield tcp(address, way.port), vsock(way.vsock_port, PARENT)
    yield vsock(launch.port), tcp(launch.listen, launch.port)


def write_home(launch: Launch, below: Path) -> Path:
    """Write the home of the operator: the plan and its signatures, which are checked.

    Raises:
        CeremonyError: RF-PLAN-* if the plan is none or not signed by all, RF-DISK-001 or
            RF-DISK-002 if there is no memory for it.
    """
    toml, signatures = base64.b64decode(launch.plan), base64.b64decode(launch.signatures)
    signed = verify_signed_plan(toml, signatures)
    home = Home(below / launch.operator)
    home.make()
    write_signed_plan(home.path, signed)
    return home.path


def open_ways(launch: Launch, hosts: Path) -> None:
    """Give every address of the launch document to the loopback device, and names to addresses.

    Raises:
        OSError: if the kernel refuses; there is no enclave without it.
    """
    addresses = _addresses(launch)
    for number, address in enumerate(dict.fromkeys([*addresses, launch.listen])):
        if not address.startswith("127."):
            _give_loopback(number, address)
    lines = [
        f"{address} {way.address}\n"
        for address, way in zip(addresses, launch.ways, strict=True)
        if way.is_name
    ]
    hosts.write_text("".join(["127.0.0.1 localhost\n", *dict.fromkeys(lines)]))


def raise_loopback() -> None:
    """Switch the loopback device on: an enclave starts without it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", b"lo", UP))


def _addresses(launch: Launch) -> list[str]:
    """Return where each way is found inside: at its own address, a name at one for it."""
    names = list(dict.fromkeys(way.address for way in launch.ways if way.is_name))
    return [
        NAMED.format(1 + names.index(way.address)) if way.is_name else way.address
        for way in launch.ways
    ]


def _give_loopback(number: int, address: str) -> None:
    """Add an address to the loopback device, under a label of its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command, value in ((SET_ADDRESS, address), (SET_MASK, "255.255.255.255")):
            inner = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(value))
            fcntl.ioctl(any_socket, command, struct.pack("16s16s", b"lo:%d" % number, inner))


def _ask_parent() -> bytes:
    data = b""
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as parent:
        parent.connect((PARENT, LAUNCH_PORT))
        while len(data) <= MOST_BYTES and (piece := parent.recv(1 << 16)):
            data += piece
    return data


if __name__ == "__main__":
    from infra.cli.ending import ending

    with ending(as_json=True):
        sys.exit(main())
