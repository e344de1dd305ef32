"""Real namespaces and real connections over emulated lines.

This takes root on Linux and a TUN device. Where these are missing the tests say so by failing, as
for every other tool of the suite; `require` below is what they say.
"""

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from infra.network import netem
from infra.network.account import LinkAccount
from infra.network.emulated import EmulatedNetwork, choose_emulator
from infra.network.lines import LinkShape
from infra.network.model import parse_network
from infra.network.namespaces import Namespace
from infra.network.places import Reach
from infra.network.relay import TUN
from infra.report.model import LinkPhase
from mpc_core.protocol.errors import CeremonyError
from tests.support.tools import tool

TCP_CONGESTION = 13
PORT = 5000
OPERATORS = ["op-01", "op-02"]


@pytest.fixture(autouse=True)
def require():
    assert sys.platform == "linux", "emulated lines need Linux"
    assert os.geteuid() == 0, "emulated lines need root: run the suite as root"
    for name in ("ip", "nsenter"):
        tool(name, "install iproute2 and util-linux")
    assert Path(TUN).exists(), f"emulated lines need {TUN}: load the module tun"


@contextmanager
def lines(tmp_path, link=""):
    text = f'emulator = "relay"\nseed = 3\n[link]\n{link}\n'
    network = EmulatedNetwork(parse_network(text.encode()))
    with network.joined(OPERATORS, tmp_path / "relay.log"):
        yield network


def inside(network, name, act):
    """Call a function in the network of an operator."""
    return network._namespaces[name].inside(act)


def sent_over(network, data):
    """Send bytes from the first operator to the second; return them, seconds and algorithms."""
    listening = inside(
        network, "op-01", lambda: socket.create_server((network.host("op-01"), PORT))
    )
    algorithms = []

    def serve():
        connection, _ = listening.accept()
        with connection:
            connection.sendall(data)
            algorithms.append(_algorithm(connection))

    def fetch():
        pieces = []
        with socket.create_connection((network.host("op-01"), PORT)) as connection:
            algorithms.append(_algorithm(connection))
            while piece := connection.recv(1 << 20):
                pieces.append(piece)
        return b"".join(pieces)

    server = Thread(target=serve)
    server.start()
    with listening:
        received = inside(network, "op-02", fetch)
        server.join()
    return received, algorithms


def _algorithm(connection):
    name = connection.getsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, 16)
    return name.rstrip(b"\0").decode()


def _retransmitted(network, name):
    def read():
        rows = [
            line.split() for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()
        ]
        names, values = (row for row in rows if row[0] == "Tcp:")
        return int(values[names.index("RetransSegs")])

    return inside(network, name, read)


def test_bytes_pass_unchanged_over_a_line_that_loses_and_delays(tmp_path):
    data = os.urandom(3_000_000)
    with lines(tmp_path, 'rate = "500Mbps"\ndelay = "2ms"\nloss = "2%"') as network:
        received, _ = sent_over(network, data)
        assert received == data
        assert _retransmitted(network, "op-01") > 10
        traffic = network.traffic()
    assert traffic["op-01"].sent_bytes > len(data) < traffic["op-02"].received_bytes
    assert traffic["coordinator"].sent_bytes < 1000


@pytest.mark.parametrize("algorithm", ["bbr", "reno"])
def test_both_ends_of_a_connection_use_the_congestion_control_of_their_lines(tmp_path, algorithm):
    with lines(tmp_path, f'congestion_control = "{algorithm}"') as network:
        assert sent_over(network, b"x")[1] == [algorithm, algorithm]
        assert network.algorithm("op-01") == algorithm


def test_the_round_trip_is_the_sum_of_both_delays(tmp_path):
    link = 'delay = "30ms"\n[links.op-02]\ndelay = "50ms"'
    with lines(tmp_path, link) as network:

        def connect():
            began = time.monotonic()
            with suppressed_refusal():
                socket.create_connection((network.host("op-01"), PORT))
            return time.monotonic() - began

        assert inside(network, "op-02", connect) >= 0.08


@contextmanager
def suppressed_refusal():
    """Nobody listens: the answer to the first packet is a refusal, one round trip later."""
    with pytest.raises(ConnectionRefusedError):
        yield


def test_a_fetch_is_split_as_the_lines_of_its_slowest_senders_ask(tmp_path):
    link = 'rate = "284Mbps"\ndelay = "10ms"\ncongestion_control = "reno"'
    link += '\n[links.op-01]\nloss = "0.01%"\n[links.op-02]\nrate = "70Mbps"'
    with lines(tmp_path, link) as network:
        found = {name: network.reach(name) for name in network.parties}
    assert found["coordinator"] == Reach("198.18.0.1", 5)
    assert found["op-01"] == Reach("198.18.0.2", 1)
    assert found["op-02"] == Reach("198.18.0.3", 1)


def test_a_party_is_started_in_its_own_network_and_sees_nothing_else(tmp_path):
    with lines(tmp_path) as network:
        listed = subprocess.run(
            [*network.entering("op-02"), "ip", "-brief", "address"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert network.host("op-02") == "198.18.0.3"
        assert network.entering("coordinator") == ()
    assert "198.18.0.3/24" in listed
    assert len(listed.splitlines()) == 2


def test_leaving_goes_back_to_the_own_network_and_takes_the_lines_away(tmp_path):
    own = Path("/proc/self/ns/net").readlink()
    with lines(tmp_path) as network:
        assert Path("/proc/self/ns/net").readlink() != own
        relay = network._relay
        relay_network = relay.pid
    assert Path("/proc/self/ns/net").readlink() == own
    assert not Path(f"/proc/{relay_network}").exists()


def test_a_relay_that_ends_is_reported(tmp_path):
    with lines(tmp_path) as network:
        network.check()
        os.kill(network._relay.pid, signal.SIGKILL)
        network._relay.wait()
        with pytest.raises(CeremonyError, match="RF-NET-008"):
            network.check()


KILLED = """
import os, signal, sys
from pathlib import Path
from infra.network.emulated import EmulatedNetwork
from infra.network.model import parse_network
network = EmulatedNetwork(parse_network(b'emulator = "relay"'))
with network.joined(["op-01"], Path(sys.argv[1])):
    print(network._relay.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_sandbox_leaves_no_relay_and_so_no_network_behind(tmp_path):
    log = tmp_path / "relay.log"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(log)], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    relay = int(killed.stdout)
    descriptor = _watch(relay)
    if descriptor is not None:
        assert _ends(descriptor)


def _watch(process):
    try:
        return os.pidfd_open(process)
    except ProcessLookupError:
        return None


def _ends(descriptor):
    """Wait until a process has ended, which the kernel sees to; a minute is more than enough."""
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    with os.fdopen(descriptor):
        return bool(poll.poll(60_000))


# what takes no lines


def test_a_congestion_control_that_the_kernel_lacks_is_refused():
    with pytest.raises(CeremonyError, match="RF-NET-007") as caught:
        EmulatedNetwork(parse_network(b'[links.op-01]\ncongestion_control = "none"'))
    assert caught.value.found == "none"


def test_another_user_is_refused(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CeremonyError, match="RF-NET-004"):
        EmulatedNetwork(parse_network(b""))


@pytest.mark.parametrize(
    ("wanted", "has_netem", "chosen"),
    [("auto", True, "netem"), ("auto", False, "relay"), ("relay", True, "relay")],
)
def test_netem_is_taken_where_the_kernel_has_it(monkeypatch, wanted, has_netem, chosen):
    monkeypatch.setattr(netem, "has_netem", lambda: has_netem)
    assert choose_emulator(wanted) == chosen


def test_an_emulator_that_does_not_work_is_refused(monkeypatch):
    monkeypatch.setattr(netem, "has_netem", lambda: False)
    with pytest.raises(CeremonyError, match="RF-NET-006"):
        choose_emulator("netem")


def test_netem_is_told_what_a_line_is_like():
    shape = LinkShape(1_000_000_000, 0.04, 0.01, "bbr")
    assert netem.party_qdisc(shape) == (
        "qdisc add dev wan0 root netem limit 11667 delay 40000us loss random 1.000000%"
        " rate 1000000000bit"
    )
    assert netem.switch_qdisc(3, shape) == (
        "qdisc add dev line3 root netem limit 8334 rate 1000000000bit"
    )
    assert netem.party_qdisc(LinkShape()) == "qdisc add dev wan0 root netem limit 100000"


def test_the_bridge_of_netem_joins_pairs_of_two_namespaces():
    """All of it but netem itself, which not every kernel has."""
    with Namespace() as bridge, Namespace() as party:
        pair = f"link add line0 type veth peer name wan0 netns {party.path}"
        bridge.configure("ip", [pair, *netem.join_commands(1)])
        found = party.inside(lambda: Path("/proc/thread-self/net/dev").read_text())
    assert "wan0:" in found


def test_a_command_that_fails_is_reported_with_its_words():
    with Namespace() as space, pytest.raises(CeremonyError, match="RF-NET-005") as caught:
        space.configure("ip", ["link set nothing up"])
    assert "nothing" in caught.value.found


# the account


def test_the_account_charges_phases_and_goes_on_after_a_resume(tmp_path):
    def offline(seconds, account, clock):
        account.note({"event": "stage", "stage": "N", "state": "started"})
        clock.now += seconds

    with lines(tmp_path, 'rate = "100Mbps"') as network:
        for _ in range(2):
            clock = Clock()
            account = LinkAccount(tmp_path / "network.json", network, clock)
            account.note({"event": "ready"})
            clock.now += 100
            offline(2, account, clock)
            sent_over(network, bytes(10_000))
            account.note({"event": "stage", "stage": "O", "state": "started"})
            clock.now += 3
            account.save()
        report = account.report()
    link = {link.name: link for link in report.links}["op-01"]
    assert (report.emulator, report.mtu) == ("relay", 1500)
    assert (link.offline.seconds, link.online.seconds) == (4, 6)
    assert 20_000 < link.offline.sent_bytes < 25_000
    assert link.online.sent_bytes < 1000


def test_a_damaged_account_starts_anew(tmp_path):
    (tmp_path / "network.json").write_bytes(struct.pack("I", 7))
    with lines(tmp_path) as network:
        account = LinkAccount(tmp_path / "network.json", network)
        assert account.report().links[0].offline == LinkPhase()


class Clock:
    now = 0.0

    def __call__(self):
        return self.now
