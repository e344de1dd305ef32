"""wan.toml: what it may say, and how it is refused."""

import pytest

from infra.network.lines import LinkShape
from infra.network.model import load_network, parse_network
from mpc_core.protocol.errors import CeremonyError

EVERYTHING = b"""
emulator = "relay"
seed = 7

[link]
rate = "1.5 Gbps"
delay = "40ms"
loss = "1%"
congestion_control = "bbr"

[links.op-02]
delay = "0.12 s"

[links.coordinator]
loss = "0%"
congestion_control = "cubic"
"""


def test_a_line_says_what_is_different_from_every_line():
    shape = parse_network(EVERYTHING)
    assert (shape.emulator, shape.seed) == ("relay", 7)
    assert shape.of("op-01") == LinkShape(1_500_000_000, 0.04, 0.01, "bbr")
    assert shape.of("op-02") == LinkShape(1_500_000_000, 0.12, 0.01, "bbr")
    assert shape.of("coordinator") == LinkShape(1_500_000_000, 0.04, 0.0, "cubic")


def test_an_empty_file_describes_lines_without_limit_delay_and_loss():
    shape = parse_network(b"")
    assert shape.of("op-01") == LinkShape()
    assert shape.emulator == "auto"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b"[link", "end of document"),
        (b"\xff", "offset 0"),
        (b"#" * 65_537, "65537 bytes"),
        (b"unknown = 1", "unknown"),
        (b"[link]\nspeed = 1", "link.speed"),
        (b"[link]\nrate = 1000", "link.rate"),
        (b'[link]\nrate = "1 Gb/s"', "link.rate"),
        (b'[link]\nrate = "1kbps"', "link.rate"),
        (b'[link]\nrate = "9999Gbps"', "link.rate"),
        (b'[link]\ndelay = "-1ms"', "link.delay"),
        (b'[link]\ndelay = "11s"', "link.delay"),
        (b'[link]\nloss = "51%"', "link.loss"),
        (b'[link]\nloss = "0.01"', "link.loss"),
        (b'[link]\ncongestion_control = "bbr; reboot"', "link.congestion_control"),
        (b'emulator = "tc"', "emulator"),
        (b"seed = -1", "seed"),
        (b"[links]\nop-01 = 3", "links.op-01"),
    ],
)
def test_anything_else_is_refused_and_the_place_is_named(text, where):
    with pytest.raises(CeremonyError, match="RF-NET-002") as caught:
        parse_network(text)
    assert where in caught.value.found
    assert caught.value.runbook == "network-shaped-runs"


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(CeremonyError, match="RF-NET-001"):
        load_network(tmp_path / "wan.toml")


def test_a_file_is_read(tmp_path):
    (tmp_path / "wan.toml").write_bytes(EVERYTHING)
    assert load_network(tmp_path / "wan.toml") == parse_network(EVERYTHING)


def test_a_line_of_nobody_is_refused():
    shape = parse_network(EVERYTHING)
    shape.check_names(["op-01", "op-02"])
    with pytest.raises(CeremonyError, match="RF-NET-003") as caught:
        shape.check_names(["op-01", "op-03"])
    assert "op-02" in caught.value.found
