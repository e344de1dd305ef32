"""One ceremony of real processes, and what tfhe-rs and arithmetic say of its key set."""

import json
import subprocess
import sys

import numpy as np
import pytest

from infra.party.rules import STAGES, layout_of
from infra.publish.files import opening_path
from mpc_core.tfhe.export import KeyFile
from mpc_core.tfhe.keyset import bodies_of, seed_of
from mpc_core.tfhe.objects import public_objects, secret_keys
from mpc_core.tfhe.parameters import lookup
from tests.support import judge, node
from tests.support.reference_keys import residues
from tests.support.reveal import client_key, key_holders, reveal_secrets

MEGABYTE = 1_000_000
VALUES = [("u8", 201), ("bool", True), ("u16", 51_966), ("u32", 4_000_000_000), ("u64", 2**63 + 5)]
RIGHT = {"sum": 34, "product": 253, "chosen": 23}


@pytest.fixture(scope="module")
def parameters(ceremony):
    return lookup(ceremony.plan.parameters)


@pytest.fixture(scope="module")
def keys(ceremony, tmp_path_factory):
    """A folder with the three key files and the revealed `ClientKey`."""
    folder = tmp_path_factory.mktemp("keys")
    for name, data in ceremony.key_files().items():
        (folder / name).write_bytes(data)
    (folder / "ClientKey").write_bytes(client_key(ceremony.plan, ceremony.secrets))
    return folder


@pytest.fixture(scope="module")
def noise(ceremony, parameters):
    """What is left of every body once <a, s> and the messages are taken away, by object."""

    def opening(index):
        return (ceremony.folder.root / opening_path(("O", index))).read_bytes()

    seed, bodies = seed_of(opening(0)), bodies_of(parameters, layout_of(ceremony.plan), opening)
    return {
        item: residues(parameters, item, seed, ceremony.secrets, bodies[item.number])
        for item in public_objects(parameters)
    }


# the result


def test_the_result_folder_is_complete(ceremony):
    root = ceremony.folder.root
    assert {path.name for path in root.iterdir()} == {
        "plan.toml",
        "plan.sig",
        "keyset",
        "transcript",
        "operators",
        "coordinator",
        "shared-openings",
        "report.json",
        "report.md",
    }
    assert {path.name for path in ceremony.folder.keyset.iterdir()} == {f.value for f in KeyFile}
    for operator in ceremony.plan.operators:
        home = ceremony.folder.operator(operator.name)
        kept = {path.relative_to(home.vault).as_posix() for path in home.vault.rglob("*")}
        assert "key-share.json" in kept
        assert not {name for name in kept if name.startswith(("stage-keys/", "setup/"))}
        assert (home.vault.stat().st_mode & 0o777) == 0o700


def test_the_last_line_of_standard_output_says_where_the_result_is(ceremony):
    last = ceremony.events[-1]
    assert last["event"] == "result"
    assert last["keyset"] == str(ceremony.folder.keyset)
    assert all(event["event"] != "error" for event in ceremony.events)


def test_the_key_set_has_the_published_counts(ceremony, parameters):
    facts = ceremony.report["ceremony"]
    assert (facts["random_bits"], facts["products"], facts["bodies"]) == (729_638, 66_304, 265_746)
    assert len(public_objects(parameters)) == 12


def test_verify_finds_the_ceremony_valid(ceremony):
    command = [sys.executable, "-m", "infra.cli", "verify", str(ceremony.folder.root), "--json"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    result = json.loads(found.stdout)
    assert result["verdict"] == "valid"
    assert "opened values" in {part["check"] for part in result["not_repeated"]}


# tfhe-rs


@pytest.mark.parametrize("kind", ["CompactPublicKey", "CompressedServerKey"])
def test_node_writes_back_the_very_bytes(ceremony, kind):
    assert node.reserializes(kind, ceremony.folder.keyset / kind)


def test_node_writes_back_the_revealed_client_key(keys):
    assert node.reserializes("ClientKey", keys / "ClientKey")


def test_tfhe_rs_finds_the_keys_conformant_and_computes_with_them(ceremony, keys, tmp_path):
    ciphertexts = tmp_path / "list"
    node.encrypt(keys / "CompactPublicKey", VALUES, ciphertexts)
    found = judge.check("test", keys, ciphertexts)
    assert found["list"] == [value for _, value in VALUES]
    assert found["server_key"] == RIGHT
    assert found["xof"] == RIGHT
    assert found["squashing"] == {"direct": 201, "flag": True, "stored": 201}
    assert found["compression"] == {"number": 51_967, "flag": False}
    assert found["rerandomization"] == {"changed": True, "value": 78}
    assert len(set(found["random"])) > 1
    assert found["tag"] == ceremony.plan.ceremony_id


# the secret and the noise


def test_the_lwe_bit_and_the_oprf_bit_of_the_seed_are_one(ceremony):
    assert ceremony.secrets["small-lwe"].tolist() == [1]
    assert ceremony.secrets["oprf-lwe"].tolist() == [1]


def test_any_two_of_four_hold_the_same_key(ceremony):
    holders = key_holders(ceremony.folder, ceremony.plan)
    assert holders == (1, 2, 3, 4)
    for other in ((1, 4), (2, 3), (3, 4), (1, 2, 3, 4)):
        again = reveal_secrets(ceremony.folder, other)
        assert all(np.array_equal(again[name], ceremony.secrets[name]) for name in again)


def test_key_bits_are_fair(ceremony, parameters):
    bits = np.concatenate([ceremony.secrets[key.name] for key in secret_keys(parameters)])
    assert abs(bits.mean() - 0.5) < 5 * 0.5 / np.sqrt(bits.size)


def test_every_body_is_exact_and_its_noise_inside_its_bound(noise):
    assert sum(values.size for values in noise.values()) == 265_746
    for item, values in noise.items():
        assert np.abs(values).max() <= 1 << item.noise_bound_log2, item.name


def test_noise_has_the_mean_and_the_variance_of_tuniform(noise):
    for item, values in noise.items():
        scaled = values / float(1 << item.noise_bound_log2)
        edge = 4.0**-item.noise_bound_log2
        variance, size = 1 / 3 + edge / 6, scaled.size
        spread = np.sqrt((1 / 5 - 1 / 9 + edge) / size)
        assert abs(scaled.mean()) < 5 * np.sqrt(variance / size), item.name
        assert abs((scaled**2).mean() - variance) < 5 * spread, item.name


def test_noise_takes_every_value_as_often_as_tuniform_does(noise):
    """Every value has the same weight but the two ends, which have half of it each."""
    seen = 0
    for item, values in noise.items():
        bound = 1 << item.noise_bound_log2
        weights = np.ones(2 * bound + 1)
        weights[[0, -1]] = 0.5
        expected = weights / weights.sum() * values.size
        if expected.min() < 5:
            continue
        counts = np.bincount(values + bound, minlength=2 * bound + 1)
        assert ((counts - expected) ** 2 / expected).sum() < _chi_square_limit(2 * bound), item.name
        seen += values.size
    assert seen > 265_000


def _chi_square_limit(degrees):
    """Return what one in a million fair samples exceeds (Wilson and Hilferty)."""
    spread = 2 / (9 * degrees)
    return degrees * (1 - spread + 4.75 * spread**0.5) ** 3


# what it costs


def test_the_report_has_figures_for_every_operator_and_stage(ceremony):
    report = ceremony.report
    assert set(report["stage_seconds"]) >= {"keys", *STAGES}
    assert len(report["operators"]) == 4
    for party in (*report["operators"], report["coordinator"]):
        assert party["starts"] == 1
        assert not party["incomplete"]
        assert party["cpu_seconds"] > 0
        assert party["peak_memory_bytes"] > 10 * MEGABYTE
    for party in report["operators"]:
        for stage in ("keys", "N", "S", "M", "seal", "O"):
            assert party["stages"][stage]["cpu_seconds"] > 0, (party["name"], stage)
        for stage in STAGES:
            assert party["stages"][stage]["sent_bytes"] > 0, (party["name"], stage)
    text = ceremony.folder.report_markdown.read_text()
    for words in ("offline phase", "online phase", "bandwidth", "total sent per party", "op-04"):
        assert words in text


def test_no_operator_sends_more_than_20_mb_or_needs_more_than_350_mb(ceremony):
    for party in ceremony.report["operators"]:
        assert party["sent_bytes"] <= 20 * MEGABYTE, party["name"]
        assert party["peak_memory_bytes"] < 350 * MEGABYTE, party["name"]


def test_opened_bytes_are_exactly_those_of_the_layout(ceremony):
    layout = layout_of(ceremony.plan)
    for batch in layout.stage("O"):
        path = ceremony.folder.root / opening_path(("O", batch.index))
        assert path.stat().st_size == batch.opened_bytes, path.name
    assert layout.opened_bytes() == sum(
        batch.opened_bytes for stage in STAGES for batch in layout.stage(stage)
    )
