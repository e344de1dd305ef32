"""Larger ceremonies of real processes; what they cost is printed (`pytest -m long -s`)."""

import json
import subprocess
import sys

import pytest

from tests.support import judge, node
from tests.support.reveal import client_key, key_holders, reveal_secrets
from tests.support.sandbox import run_ceremony

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

VALUES = [("u8", 201), ("bool", True), ("u64", 2**63 + 5)]
SEED = "0d"


@pytest.fixture(scope="module", params=[(7, 2), (13, 4)], ids=["7-2", "13-4"])
def large(request, tmp_path_factory):
    n, t = request.param
    arguments = ("--operators", str(n), "--threshold", str(t), "--insecure-setup-seed", SEED)
    directory = tmp_path_factory.mktemp("large")
    ceremony = run_ceremony(directory, f"of-{n}", *arguments)
    sys.stdout.write(json.dumps(figures(ceremony), indent=1) + "\n")
    return ceremony


def figures(ceremony):
    report = ceremony.report
    operators = report["operators"]
    return {
        "operators": len(operators),
        "wall_seconds": round(ceremony.wall_seconds, 1),
        "cpu_seconds": round(ceremony.cpu_seconds, 1),
        "step_cpu_seconds_in_all": round(
            report["offline"]["cpu_seconds_in_all"] + report["online"]["cpu_seconds_in_all"], 1
        ),
        "peak_memory_mb": max(party["peak_memory_bytes"] for party in operators) // 10**6,
        "most_sent_mb": round(max(party["sent_bytes"] for party in operators) / 1e6, 2),
        "coordinator_cpu_seconds": round(report["coordinator"]["cpu_seconds"], 1),
        "stage_seconds": {name: round(each, 1) for name, each in report["stage_seconds"].items()},
    }


def test_a_large_ceremony_ends_with_a_key_share_for_everybody(large):
    assert key_holders(large.folder, large.plan) == tuple(range(1, large.plan.count + 1))


def test_verify_finds_a_large_ceremony_valid(large):
    command = [sys.executable, "-m", "infra.cli", "verify", str(large.folder.root), "--json"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_tfhe_rs_computes_with_the_keys_of_many(large, tmp_path):
    last = range(large.plan.count - large.plan.threshold, large.plan.count + 1)
    key = client_key(large.plan, reveal_secrets(large.folder, last))
    for name, data in {**large.key_files(), "ClientKey": key}.items():
        (tmp_path / name).write_bytes(data)
    ciphertexts = tmp_path / "list"
    node.encrypt(tmp_path / "CompactPublicKey", VALUES, ciphertexts)
    found = judge.check("test", tmp_path, ciphertexts)
    assert found["list"] == [value for _, value in VALUES]
    assert found["server_key"] == found["xof"] == {"sum": 34, "product": 253, "chosen": 23}


def test_an_operator_of_a_large_ceremony_needs_no_more_memory(large):
    for party in large.report["operators"]:
        assert party["peak_memory_bytes"] < 400_000_000, party["name"]
