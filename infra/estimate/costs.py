"""What work costs on a machine: the measured figures that the model multiplies with counts.

`kernels` measures `Costs` with the functions that operators call. `Overheads` is what a batch costs
beside its arithmetic and its bytes; it is a small table because it is measured by whole ceremonies
(`ringforge estimate --calibrate`). All times are CPU seconds of one thread unless they say wall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpc_core.protocol.plan import Plan

__all__ = [
    "OVERHEADS",
    "TYPICAL_BANDWIDTH",
    "TYPICAL_RTT",
    "Costs",
    "ElementCosts",
    "Machine",
    "Overheads",
]

TYPICAL_BANDWIDTH, TYPICAL_RTT = 1e9, 0.080
"""Of machines of different organisations: bits a second, seconds there and back."""


@dataclass(frozen=True, slots=True)
class ElementCosts:
    """Seconds for each packed element of a batch.

    Attributes:
        share: the share vector, encoded; 0 where it is counted by rows.
        open: of interpolating v from as many vectors as an opening takes, at the decoder.
        check: of refusing a v that cannot be right.
        answer: of one sum over a vector or v that answers a challenge.
        keep: of the shares that follow from v; 0 where nothing is kept.
    """

    share: float
    open: float
    check: float
    answer: float
    keep: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What the steps cost on one core of a machine.

    Attributes:
        elements: by purpose of the batch ("noise", "bits", "products", "bodies") and K.
        rows: seconds for the shares of one row of bodies, by number of the public object.
        hash_byte: of the Merkle tree over a vector.
        write_byte: of writing a file.
        keep_byte: of storing shares, encrypted.
        load_byte: of reading stored shares.
        send_byte: of serving a byte over TLS.
        receive_byte: of fetching one: TLS, hash and file.
        export_byte: of a byte of key files, rebuilt and hashed.
        sync_byte: wall seconds until a byte has reached the disk, one file at a time.
        setup: seconds of one operator for the key setup.
    """

    elements: Mapping[tuple[str, int], ElementCosts]
    rows: Mapping[int, float]
    hash_byte: float
    write_byte: float
    keep_byte: float
    load_byte: float
    send_byte: float
    receive_byte: float
    export_byte: float
    sync_byte: float
    setup: float


@dataclass(frozen=True, slots=True)
class Overheads:
    """What comes on top of arithmetic and bytes.

    Attributes:
        start_operator: seconds from the start of the process to "ready".
        start_coordinator: the same of the coordinator.
        entry_operator: for each entry of the log at each operator: it is fetched, verified, covered
            by checkpoints and folded into the state.
        entry_coordinator: the same at the coordinator, which hosts the log.
        second_operator: for each second that the ceremony lasts: polls, heartbeats, gossip.
        second_coordinator: the same of the coordinator, which has workflows and the log.
        order_server: for each order at the Temporal server.
        second_server: for each second, at the Temporal server and the supervisor of a sandbox.
        idle_seconds: wall seconds of a run in which nothing computes: the start and end of
            processes, pauses between looks.
    """

    start_operator: float
    start_coordinator: float
    entry_operator: float
    entry_coordinator: float
    second_operator: float
    second_coordinator: float
    order_server: float
    second_server: float
    idle_seconds: float


OVERHEADS = Overheads(
    start_operator=1.5,
    start_coordinator=2.0,
    entry_operator=0.0048,
    second_operator=0.041,
    entry_coordinator=0.0138,
    second_coordinator=0.044,
    order_server=0.028,
    second_server=0.128,
    idle_seconds=10.0,
)
"""Of a machine with two cores at about 4 GHz: what explains best the set `test` with four and with
seven operators and `mainnet`; `ringforge estimate --calibrate` measures yours."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it will run.

    Attributes:
        bandwidth: bits a second that a machine's link carries in each direction; 0 for no limit.
        rtt: seconds from an operator to another or to the coordinator and back.
        cores: cores of each machine.
        operators: operators that share a machine and its link.
        sandbox: whether coordinator and Temporal server are on it too.
    """

    bandwidth: float
    rtt: float
    cores: int
    operators: int = 1
    sandbox: bool = False

    @classmethod
    def of(cls, plan: Plan, cores: int) -> Self:
        """Return where a plan's ceremony will run: all on one machine, or each on its own."""
        if plan.sandbox:
            return cls(0.0, 0.0, cores, plan.count, sandbox=True)
        return cls(TYPICAL_BANDWIDTH, TYPICAL_RTT, cores)
