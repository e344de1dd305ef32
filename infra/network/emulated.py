"""The network of a sandbox whose parties sit behind emulated lines.

Every operator has a namespace; the coordinator has one too, in which the Temporal server and the
sandbox itself work as well, behind the coordinator's line. The addresses are of the range that RFC
2544 sets aside for tests; nothing of this is to be seen from the machine's own network.
"""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from infra.files import disk_errors
from infra.network import netem, relay
from infra.network.namespaces import Namespace, require_root, switched
from infra.network.places import Reach
from infra.network.ranges import parallel_ranges
from infra.plan.keys import COORDINATOR
from infra.tether import tethered
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from infra.network.lines import LinkShape
    from infra.network.model import Emulator, NetworkShape

__all__ = ["EmulatedNetwork", "Traffic", "choose_emulator"]

NETWORK = ipaddress.IPv4Network("198.18.0.0/24")
MTU = 1500
BUFFERS = {"tcp_rmem": "4096 131072 33554432", "tcp_wmem": "4096 65536 33554432"}
"""Socket buffers that hold what is under way on a long fast line, as on a machine tuned for one."""

SYSCTL = Path("/proc/sys/net/ipv4")
COUNTERS = Path("/proc/thread-self/net/dev")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes at a party's end of its line: IP packets, those lost and repeated later included."""

    sent_bytes: int
    received_bytes: int


def choose_emulator(wanted: Emulator) -> str:
    """Return "netem" or "relay": what is asked for, or what there is.

    Raises:
        CeremonyError: RF-NET-006 if this machine cannot do it.
    """
    if wanted != "relay" and netem.has_netem():
        return "netem"
    if wanted != "netem" and os.access(relay.TUN, os.R_OK | os.W_OK):
        return "relay"
    raise CeremonyError(
        "RF-NET-006",
        "no emulator of lines works on this machine",
        expected={
            "auto": f"a kernel with netem, or {relay.TUN}",
            "netem": "a kernel with netem",
            "relay": relay.TUN,
        }[wanted],
        found="neither" if wanted == "auto" else "none",
        effect="nothing was started",
        next_step='load the module sch_netem or tun, or write emulator = "auto"',
        runbook="network-shaped-runs",
    )


class EmulatedNetwork:
    """The lines of a ceremony's parties.

    Attributes:
        emulator: "netem" or "relay".
    """

    def __init__(self, shape: NetworkShape) -> None:
        """Check that this machine can do it; nothing is made.

        Raises:
            CeremonyError: RF-NET-004, RF-NET-006 or RF-NET-007 if it cannot.
        """
        require_root()
        self.emulator = choose_emulator(shape.emulator)
        for link in (shape.link, *shape.links.values()):
            _algorithm(link)
        self._shape = shape
        self._namespaces: dict[str, Namespace] = {}
        self._relay: subprocess.Popen[str] | None = None

    @contextmanager
    def joined(self, operators: Sequence[str], log: Path) -> Iterator[Self]:
        """Make the lines, work in the coordinator's network, and take them away at the end.

        Args:
            operators: names of the operators, in the order of their indices.
            log: where the relay may complain.

        Raises:
            CeremonyError: RF-NET-003 if a line is nobody's, RF-NET-005 if devices cannot be made,
                RF-NET-008 if the relay fails.
        """
        self._shape.check_names(operators)
        with ExitStack() as stack:
            names = (COORDINATOR, *operators)
            self._namespaces = {name: stack.enter_context(Namespace()) for name in names}
            if self.emulator == "netem":
                self._join_by_netem(stack)
            else:
                self._join_by_relay(stack, log)
            stack.enter_context(switched(self._namespaces[COORDINATOR]))
            yield self

    @property
    def parties(self) -> tuple[str, ...]:
        """Names of all that have a line, in the order of their addresses."""
        return tuple(self._namespaces)

    def host(self, name: str) -> str:
        """Return the address at which a party listens."""
        return str(NETWORK[1 + self.parties.index(name)])

    def reach(self, name: str) -> Reach:
        """Return how a party and the others reach each other: by as many ranges as losses ask."""
        own = self._shape.of(name)
        ranges = max(
            parallel_ranges(
                min((link.rate for link in (own, other) if link.rate), default=None),
                own.delay + other.delay,
                other.loss,
                self.algorithm(sender),
            )
            for sender, other in self._others(name)
        )
        return Reach(self.host(name), ranges)

    def _others(self, name: str) -> Iterator[tuple[str, LinkShape]]:
        return ((party, self._shape.of(party)) for party in self.parties if party != name)

    def entering(self, name: str) -> tuple[str, ...]:
        """Return the words before the command that starts a party."""
        return () if name == COORDINATOR else self._namespaces[name].entering

    def shape_of(self, name: str) -> LinkShape:
        """Return the line of a party."""
        return self._shape.of(name)

    def algorithm(self, name: str) -> str:
        """Return the congestion control of a party's connections."""
        return _algorithm(self._shape.of(name))

    def traffic(self) -> dict[str, Traffic]:
        """Return what has passed every party's end of its line."""
        return {name: space.inside(_traffic) for name, space in self._namespaces.items()}

    def check(self) -> None:
        """Raise if packets no longer pass.

        Raises:
            CeremonyError: RF-NET-008 if the relay ended.
        """
        if self._relay is not None and self._relay.poll() is not None:
            raise _relay_ended(f"exit code {self._relay.returncode}")

    def _join_by_relay(self, stack: ExitStack, log: Path) -> None:
        command = [sys.executable, "-m", relay.__name__]
        with disk_errors(log):
            errors = stack.enter_context(log.open("ab"))
        process = subprocess.Popen(  # noqa: S603 - this program itself
            tethered(*command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            text=True,
        )
        stack.callback(_end, process)
        self._relay = process
        links = tuple(
            (space.path, int(NETWORK[1 + at]), self._shape.of(name))
            for at, (name, space) in enumerate(self._namespaces.items())
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(relay.Task(self._shape.seed, links).to_json())
        process.stdin.flush()
        if process.stdout.readline() != "ready\n":
            raise _relay_ended(f"exit code {process.wait()}; its words are in {log}")
        for name in self.parties:
            self._configure(name)

    def _join_by_netem(self, stack: ExitStack) -> None:
        bridge = stack.enter_context(Namespace())
        pairs = [
            f"link add line{at} type veth peer name {relay.DEVICE} netns {space.path}"
            for at, space in enumerate(self._namespaces.values())
        ]
        bridge.configure("ip", [*pairs, *netem.join_commands(len(pairs))])
        shapes = [self._shape.of(name) for name in self.parties]
        bridge.configure("tc", [netem.switch_qdisc(at, shape) for at, shape in enumerate(shapes)])
        for name, shape in zip(self.parties, shapes, strict=True):
            self._configure(name, "gso_max_segs 1")
            self._namespaces[name].configure("tc", [netem.party_qdisc(shape)])

    def _configure(self, name: str, device_options: str = "") -> None:
        """Give a party's device its address, and its route the party's congestion control."""
        address, space = self.host(name), self._namespaces[name]
        device = f"dev {relay.DEVICE}"
        space.configure(
            "ip",
            [
                "link set lo up",
                f"link set {device} mtu {MTU} {device_options} up",
                f"address add {address}/{NETWORK.prefixlen} {device} noprefixroute",
                f"route add {NETWORK} {device} src {address} congctl {self.algorithm(name)}",
            ],
        )
        space.inside(_set_buffers)


def _set_buffers() -> None:
    for name, text in BUFFERS.items():
        (SYSCTL / name).write_text(text)


def _traffic() -> Traffic:
    """Read the counters of the device in the network of this thread."""
    lines = COUNTERS.read_text().splitlines()
    words = next(line for line in lines if line.strip().startswith(f"{relay.DEVICE}:")).split()
    return Traffic(sent_bytes=int(words[9]), received_bytes=int(words[1]))


def _algorithm(shape: LinkShape) -> str:
    """Return the name of a line's congestion control.

    Raises:
        CeremonyError: RF-NET-007 if the kernel does not have it.
    """
    wanted = shape.congestion_control or (SYSCTL / "tcp_congestion_control").read_text().strip()
    there = (SYSCTL / "tcp_available_congestion_control").read_text().split()
    if wanted in there:
        return wanted
    raise CeremonyError(
        "RF-NET-007",
        "the kernel does not have the congestion control that the network file names",
        expected=_listed(there),
        found=wanted,
        effect="nothing was started",
        next_step=f"load the module tcp_{wanted}, or name another one",
        runbook="network-shaped-runs",
    )


def _listed(names: Iterable[str]) -> str:
    return "one of " + ", ".join(names)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def _relay_ended(found: str) -> CeremonyError:
    return CeremonyError(
        "RF-NET-008",
        "the process that emulates the lines does not run",
        expected="a relay that runs as long as the sandbox",
        found=found,
        effect="parties reach each other no more; everything is stopped and nothing is lost",
        next_step="give the same command with --resume",
        runbook="network-shaped-runs",
    )
