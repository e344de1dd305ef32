"""A whole ceremony of a scaled set over emulated lines; it takes root and a TUN device."""

import json
import subprocess
import sys

import pytest

from infra.board import export
from mpc_core.protocol.entries import Close, WriteOff
from tests.support.reveal import key_holders
from tests.support.sandbox import Sandbox, finished, run_ceremony

pytestmark = pytest.mark.long

LINES = """
emulator = "relay"
seed = 1
[link]
rate = "200Mbps"
delay = "10ms"
loss = "0.5%"
congestion_control = "reno"
[links.op-03]
delay = "30ms"
"""


@pytest.fixture(scope="module")
def shaped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shaped")
    (folder / "wan.toml").write_text(LINES)
    arguments = ("--parameters", "mainnet", "--scale", "64", "--network", str(folder / "wan.toml"))
    return run_ceremony(folder, "shaped", *arguments)


def test_a_scaled_ceremony_over_lossy_lines_is_valid_and_said_to_be_scaled(shaped):
    command = [sys.executable, "-m", "infra.cli", "verify", str(shaped.folder.root), "--json"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["verdict"] == "valid"
    assert "mainnet-scaled-64, a scaled set" in found.stdout
    assert any("is scaled: insecure" in text for text in shaped.texts)
    assert shaped.report["ceremony"]["scaled_parameters"]


def test_the_report_accounts_for_what_passed_every_line(shaped):
    network = shaped.report["network"]
    parties = {party["name"]: party for party in shaped.report["operators"]}
    links = {link["name"]: link for link in network["links"]}
    assert network["emulator"] == "relay"
    assert set(links) == {"coordinator", *parties}
    assert links["op-03"]["delay_seconds"] == 0.03
    for name, party in parties.items():
        passed = links[name]["offline"]["sent_bytes"] + links[name]["online"]["sent_bytes"]
        assert passed > party["sent_bytes"]
        assert links[name]["congestion_control"] == "reno"


def test_the_plan_holds_no_address_of_the_lines(shaped):
    assert "198.18" not in shaped.folder.plan_file.read_text()


NARROW = """
emulator = "relay"
seed = 6
[link]
rate = "1Mbps"
delay = "10ms"
"""
WIDE = """
emulator = "relay"
seed = 7
[link]
delay = "1ms"
"""
PATIENT = ("--waiting-time", "900")
ROUTES = ("198.18.0.0/25", "198.18.0.128/25")


def is_valid(folder):
    command = [sys.executable, "-m", "infra.cli", "verify", str(folder.root), "--json"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.returncode == 0 and json.loads(found.stdout)["verdict"] == "valid"


def test_a_ceremony_ends_over_lines_of_a_megabit_a_second(tmp_path):
    (tmp_path / "lines.toml").write_text(NARROW)
    done = run_ceremony(tmp_path, "narrow", "--network", str(tmp_path / "lines.toml"), *PATIENT)
    assert is_valid(done.folder)


def part(sandbox, *names):
    """Let nothing that these parties send leave their networks."""
    for name in names:
        for route in ROUTES:
            _route(sandbox, name, "add", "blackhole", route)


def heal(sandbox, *names):
    for name in names:
        for route in ROUTES:
            _route(sandbox, name, "del", "blackhole", route)


def _route(sandbox, name, *words):
    inside = ["nsenter", "--target", str(sandbox.processes[name]), "--net"]
    subprocess.run([*inside, "ip", "route", *words], check=True)


def test_a_partition_of_more_than_t_pauses_a_ceremony_and_its_end_lets_it_go_on(tmp_path):
    (tmp_path / "lines.toml").write_text(WIDE)
    arguments = ("--network", str(tmp_path / "lines.toml"), *PATIENT)
    with Sandbox(tmp_path, "parted", arguments) as sandbox:
        sandbox.until_progress("N", 2)
        part(sandbox, "op-02", "op-03")
        said = sandbox.until(lambda said: waits_for(said, "op-02", "op-03"))
        assert said.event["stage"] in {"N", "S", "M"}
        assert not any(line.is_(event="stage", stage="O", state="started") for line in sandbox.said)
        heal(sandbox, "op-02", "op-03")
        done = finished(sandbox)
    assert is_valid(done.folder)


def waits_for(said, *names):
    return said.is_(event="progress") and set(names) <= set(said.event["waiting_for"])


BAD = """
emulator = "relay"
seed = 30
[link]
delay = "5ms"
loss = "30%"
congestion_control = "bbr"
[links.op-04]
rate = "1Mbps"
"""


def test_a_ceremony_ends_over_lines_that_lose_three_packets_of_ten(tmp_path):
    (tmp_path / "lines.toml").write_text(BAD)
    done = run_ceremony(tmp_path, "bad", "--network", str(tmp_path / "lines.toml"), *PATIENT)
    assert is_valid(done.folder)
    assert {line["loss"] for line in done.report["network"]["links"]} == {0.3}


def test_who_is_cut_off_for_longer_than_a_step_may_take_is_passed_over_and_catches_up(tmp_path):
    (tmp_path / "lines.toml").write_text(WIDE)
    arguments = ("--network", str(tmp_path / "lines.toml"), *PATIENT)
    with Sandbox(tmp_path, "behind", arguments) as sandbox:
        sandbox.until_progress("N", 2)
        part(sandbox, "op-03")
        sandbox.until_progress("M", 1)
        heal(sandbox, "op-03")
        done = finished(sandbox)
    assert is_valid(done.folder)
    said = [log.entry for log in export.read(done.folder.transcript, done.plan).entries]
    closed = {entry.slot.partition("/")[0] for entry in said if isinstance(entry, Close)}
    assert closed & {"roots", "round", "answers"}
    assert not any(isinstance(entry, WriteOff) for entry in said)
    assert key_holders(done.folder, done.plan) == (1, 2, 3, 4)
