"""Lines by the kernel's own emulator: a veth pair for each party, joined by a bridge.

`netem` at the party's end delays and loses what it sends and paces it; at the bridge's end it paces
what the party receives. Joined segments are switched off, since netem would lose them whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.network.lines import LEAST_QUEUE, QUEUE_SECONDS
from infra.network.namespaces import Namespace
from infra.network.relay import DEVICE
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from infra.network.lines import LinkShape

__all__ = ["has_netem", "join_commands", "party_qdisc", "switch_qdisc"]

BRIDGE = "lines"
PACKET_BYTES = 1500
UNLIMITED_PACKETS = 100_000


def has_netem() -> bool:
    """Return whether the kernel has netem, found by trying in a namespace that is thrown away."""
    with Namespace() as trial:
        try:
            trial.configure("tc", ["qdisc add dev lo root netem delay 1ms"])
        except CeremonyError:
            return False
        return True


def join_commands(parties: int) -> list[str]:
    """Return what `ip` is to do in the bridge's namespace before pairs are made."""
    ports = [f"line{at}" for at in range(parties)]
    return [
        f"link add {BRIDGE} type bridge",
        f"link set {BRIDGE} up",
        *(f"link set {port} master {BRIDGE} gso_max_segs 1 up" for port in ports),
    ]


def party_qdisc(shape: LinkShape) -> str:
    """Return the `tc` command for the party's end."""
    words = [f"qdisc add dev {DEVICE} root netem limit {_limit(shape, shape.delay)}"]
    words += [f"delay {shape.delay * 1e6:.0f}us"] if shape.delay else []
    words += [f"loss random {shape.loss * 100:.6f}%"] if shape.loss else []
    return " ".join([*words, *_pace(shape)])


def switch_qdisc(at: int, shape: LinkShape) -> str:
    """Return the `tc` command for the bridge's end of a party's pair."""
    words = [f"qdisc add dev line{at} root netem limit {_limit(shape, 0.0)}"]
    return " ".join([*words, *_pace(shape)])


def _pace(shape: LinkShape) -> list[str]:
    return [f"rate {shape.rate}bit"] if shape.rate else []


def _limit(shape: LinkShape, delay: float) -> int:
    """Return how many packets are under way and waiting at most."""
    if shape.rate is None:
        return UNLIMITED_PACKETS
    held = max(QUEUE_SECONDS * shape.rate / 8, LEAST_QUEUE) + delay * shape.rate / 8
    return int(held / PACKET_BYTES) + 1
