"""The one process of an enclave: `python3 -m infra.image.start`, as the image says.

It asks the parent for the launch document, gives every address that the operator uses to the
loopback device with a relay behind it, writes the home into memory and runs the operator there.
Before all have signed the plan it does what is next for that, and ends (`infra.party.enrolment`).
"""

from __future__ import annotations

import base64
import datetime as dt
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli.ending import WAITING, print_json
from infra.files import write_atomic
from infra.governance.gathering import open_draft
from infra.homes import Home
from infra.image.launch import MOST_BYTES, Enrolment, Launch, no_launch, read_launch
from infra.image.relay import PARENT, relay, tcp, vsock
from infra.loop import BackgroundLoop
from infra.plan.signing import PLAN_FILE, SIGNATURE_FILE, verify_signed_plan, write_signed_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.enclave.kms.leaving import Record
    from infra.governance.gathering import Draft
    from infra.image.relay import End
    from infra.party.enclave import Enclave
    from mpc_core.protocol.plan import Plan

__all__ = ["left", "main", "open_ways", "prepared", "raise_loopback", "relays_of", "write_home"]

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
    """Run the operator that the parent names until it ends, or what comes before it can run."""
    told = read_launch(_ask_parent())
    raise_loopback()
    open_ways(told, HOSTS)
    relays = BackgroundLoop("relays")
    for at, to in relays_of(told):
        relays.run(relay(at, to))
    os.environ[REGION] = told.region
    # What follows takes seconds to load: the first errors are shown before that.
    if isinstance(told, Enrolment):
        return _enrol(told)
    place = Home(HOMES / told.operator)
    if told.leave is not None:
        left(told, told.leave, place)
        return 0
    home = prepared(told, place)
    if home is None:
        return WAITING
    from infra.network.places import Reach  # noqa: PLC0415
    from infra.operator import run_operator  # noqa: PLC0415

    reach = Reach(told.listen, port=told.port)
    return run_operator(home.path, told.temporal, told.board, reach, rejoin=told.rejoin)


def prepared(launch: Launch, home: Home) -> Home | None:
    """Return the operator's home, with a vault to open; None after signing an unsigned plan.

    Args:
        launch: what the parent says.
        home: where it is to be.

    Raises:
        CeremonyError: as `write_home` and `infra.party.enrolment`.
    """
    from infra.party.enrolment import begin_at_first_start, sign_inside  # noqa: PLC0415

    draft = _write_draft(launch, home)
    if draft.missing:
        sign_inside(home, draft.plan, _enclave(home, draft.plan))
        print_json({"event": "signed", "plan": draft.plan.hash.hex(), "missing": draft.missing})
        return None
    plan = write_home(launch, home)
    if begin_at_first_start(home, plan, _enclave(home, plan)):
        print_json({"event": "begun", "plan": plan.hash.hex()})
    return home


def left(launch: Launch, leave: str, home: Home) -> Record:
    """Return the record of what the operator of a launch document destroyed in leaving.

    Args:
        launch: what the parent says.
        leave: what who speaks for the operator says, in base64.
        home: where the plan is to be.

    Raises:
        CeremonyError: RF-GOVERN-011 if nobody who may said so, as `write_home` and `leave_inside`.
    """
    from infra.party.instructions import Leave, read_instruction  # noqa: PLC0415
    from infra.party.leaving import leave_inside  # noqa: PLC0415

    plan = write_home(launch, home)
    index = _index_of(home, plan)
    said = read_instruction(Leave, base64.b64decode(leave), plan, index)
    record = leave_inside(home, plan, _enclave(home, plan), said, dt.datetime.now(dt.UTC))
    print_json({"event": "left", "kms_key": record.entry.kms_key, "posted_at": said.board})
    return record


def _enrol(told: Enrolment) -> int:
    from infra.enclave.kms.client import key_service  # noqa: PLC0415
    from infra.enclave.kms.data_keys import DataKeys  # noqa: PLC0415
    from infra.enclave.nitro import NitroModule  # noqa: PLC0415
    from infra.party.enrolment import enrol  # noqa: PLC0415

    keys = DataKeys(key_service(None, told.kms_key), NitroModule.open())
    card = enrol(told.storage, keys, told.kms_key, told.operator, told.particulars)
    print_json({"event": "enrolled", "card": card})
    return 0


def _enclave(home: Home, plan: Plan) -> Enclave:
    from infra.party.enclave import enclave_of  # noqa: PLC0415
    from infra.party.sealed import not_sealable  # noqa: PLC0415

    enclave = enclave_of(home, plan)
    if enclave is None:
        raise not_sealable(home.name, "the measurement of this image", "no measurement")
    return enclave


def relays_of(launch: Launch | Enrolment) -> Iterator[tuple[End, End]]:
    """Yield what is relayed to where: every way out, and the way in once there is a plan."""
    for address, way in zip(_addresses(launch), launch.ways, strict=True):
        yield tcp(address, way.port), vsock(way.vsock_port, PARENT)
    if isinstance(launch, Launch):
        yield vsock(launch.port), tcp(launch.listen, launch.port)


def _write_draft(launch: Launch, home: Home) -> Draft:
    """Write a plan that need not be signed yet, and return it with its signatures so far."""
    home.make()
    write_atomic(home.path / SIGNATURE_FILE, base64.b64decode(launch.signatures))
    write_atomic(home.path / PLAN_FILE, base64.b64decode(launch.plan))
    draft = open_draft(home.path)
    _index_of(home, draft.plan)
    return draft


def _index_of(home: Home, plan: Plan) -> int:
    index = plan.index_of(home.name)
    if not index:
        raise no_launch(f"{home.name}, whom the plan does not name")
    return index


def write_home(launch: Launch, home: Home) -> Plan:
    """Write the home of the operator: the plan and its signatures, which are checked.

    Raises:
        CeremonyError: RF-PLAN-* if the plan is none or not signed by all, RF-DISK-001 or
            RF-DISK-002 if there is no memory for it.
    """
    toml, signatures = base64.b64decode(launch.plan), base64.b64decode(launch.signatures)
    signed = verify_signed_plan(toml, signatures)
    home.make()
    write_signed_plan(home.path, signed)
    if launch.temporal_line is not None:
        write_atomic(home.temporal_line, base64.b64decode(launch.temporal_line))
    return signed.plan


def open_ways(launch: Launch | Enrolment, hosts: Path) -> None:
    """Give every address of the launch document to the loopback device, and names to addresses.

    Raises:
        OSError: if the kernel refuses; there is no enclave without it.
    """
    addresses = _addresses(launch)
    own = [launch.listen] if isinstance(launch, Launch) else []
    for number, address in enumerate(dict.fromkeys([*addresses, *own])):
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


def _addresses(launch: Launch | Enrolment) -> list[str]:
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
