"""A whole ceremony of a scaled set over emulated lines; it takes root and a TUN device."""

import json
import subprocess
import sys

import pytest

from tests.support.sandbox import run_ceremony

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
