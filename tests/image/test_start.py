"""An enclave is told what it takes part in; what it is told is checked, and leads nowhere else."""

import base64
import socket

import pytest

from infra.homes import Home
from infra.image.launch import read_launch
from infra.image.relay import PARENT, tcp, vsock
from infra.image.start import open_ways, raise_loopback, relays_of, write_home
from infra.network.namespaces import Namespace
from infra.plan.signing import load_signed_plan
from mpc_core.protocol.errors import CeremonyError
from tests.fuzz.values import signed_plan

PEER, OWN = "203.0.113.7", "198.51.100.9"


def document(**changes):
    signed = signed_plan()
    values = {
        "operator": "op-02",
        "region": "eu-west-3",
        "plan": base64.b64encode(signed.toml).decode(),
        "signatures": base64.b64encode(signed.signatures).decode(),
        "temporal": f"{PEER}:7233",
        "listen": OWN,
        "port": 7443,
        **changes,
    }
    lines = [
        f"{name} = {value}" if isinstance(value, int) else f'{name} = "{value}"'
        for name, value in values.items()
    ]
    for address, port, vsock_port in (
        ("kms.eu-west-3.amazonaws.com", 443, 8001),
        ("169.254.169.254", 80, 8003),
        (PEER, 7233, 8100),
        (PEER, 7443, 8101),
    ):
        lines += ["[[ways]]", f'address = "{address}"', f"port = {port}"]
        lines += [f"vsock_port = {vsock_port}"]
    return "\n".join(lines).encode()


def enrolment_document():
    """The same before there is a plan: the way in is missing, key and bucket are named."""
    lines = document().decode().splitlines()
    gone = ("plan", "signatures", "temporal", "listen", "port = 7443")
    at = lines.index("[[ways]]")
    head = [line for line in lines[:at] if not line.startswith(gone)]
    head += ['storage = "s3://operator-vault/op-02"', 'kms_key = "arn:aws:kms:eu-west-3:1:key/1"']
    return "\n".join([*head, 'site = "Paris"', *lines[at:]]).encode()


def test_every_way_has_a_relay_at_its_address_and_so_has_the_way_in():
    assert list(relays_of(read_launch(document()))) == [
        (tcp("127.0.1.1", 443), vsock(8001, PARENT)),
        (tcp("169.254.169.254", 80), vsock(8003, PARENT)),
        (tcp(PEER, 7233), vsock(8100, PARENT)),
        (tcp(PEER, 7443), vsock(8101, PARENT)),
        (vsock(7443), tcp(OWN, 7443)),
    ]


def test_in_a_network_of_nothing_every_address_can_be_listened_at(tmp_path):
    launch = read_launch(document())

    def look():
        raise_loopback()
        open_ways(launch, tmp_path / "hosts")
        for end in [end for pair in relays_of(launch) for end in pair]:
            if end.family == socket.AF_INET:
                _answers(end.address)

    with Namespace() as namespace:
        namespace.inside(look)
    assert (tmp_path / "hosts").read_text().splitlines() == [
        "127.0.0.1 localhost",
        "127.0.1.1 kms.eu-west-3.amazonaws.com",
    ]


def _answers(address):
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
        with socket.create_connection(address, timeout=10):
            listening.accept()[0].close()


def test_the_home_holds_the_plan_that_all_signed(tmp_path):
    home = Home(tmp_path / "op-02")
    plan = write_home(read_launch(document()), home)
    assert plan.hash == load_signed_plan(home.path).plan.hash == signed_plan().plan.hash
    assert home.vault.stat().st_mode & 0o777 == 0o700


def test_a_plan_that_somebody_did_not_sign_is_not_written(tmp_path):
    launch = read_launch(document(signatures=""))
    with pytest.raises(CeremonyError, match="RF-PLAN-"):
        write_home(launch, Home(tmp_path / "op-02"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"op-02"', b'"../op-02"'),
        (b'"op-02"', b"2"),
        (b"port = 7443\n", b"port = 0\n"),
        (b"port = 8001", b"port = 65536"),
        (b'plan = "', b'plan = "*'),
        (OWN.encode(), b"198.051.100.9"),
        (OWN.encode(), b"here"),
        (b"kms.eu", b"kms_eu"),
        (b'"eu-west-3"', b'"eu-west-3.example"'),
        (b"kms.eu", b"kms.eu\\n"),
        (b"8003", b"8003\nmore = 1"),
        (b"[[ways]]", b"[ways]"),
        (b"port = 7233", b"port = 7443"),
        (PEER.encode(), OWN.encode()),
        (b"operator", b"\xff"),
        (b'plan = "', b'plan = "' + b"A" * (1 << 20)),
    ],
    ids=range(16),
)
def test_what_is_no_launch_document_is_refused(old, new):
    assert old in document()
    with pytest.raises(CeremonyError, match="RF-IMAGE-008"):
        read_launch(document().replace(old, new))
