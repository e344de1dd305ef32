"""`ringforge bench` at small sizes: all documented fields are there, exact numbers are exact."""

import json
from dataclasses import fields

import pytest

from infra.bench import bench_command, command
from infra.bench.model import (
    AesSpeed,
    AssemblyCost,
    BatchCost,
    BenchReport,
    Machine,
    OpenedBytes,
    Sizes,
)
from mpc_core.tfhe.objects import public_objects
from mpc_core.tfhe.parameters import lookup

SMALL = Sizes(
    committees=((4, 1), (7, 2)),
    parameters="test",
    counted=("test",),
    bits=2048,
    products=512,
    repetitions=1,
    assembly_rows=2,
)
STEPS = {
    "share_vector",
    "encode",
    "merkle_root",
    "decode",
    "take_opening",
    "answer",
    "stored_share",
}


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command on the kernels that the tests use, and return what it prints."""
    monkeypatch.setattr(command, "warm_kernels", lambda folder, say: say("kernels"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "restored when the test ends")

    def run(*, as_json):
        assert bench_command(as_json=as_json, sizes=SMALL) == 0
        return capsys.readouterr()

    return run


def names(kind):
    return {field.name for field in fields(kind)}


def test_json_has_the_documented_fields_and_exact_bytes(run):
    printed = run(as_json=True)
    report = json.loads(printed.out)

    assert report.keys() == names(BenchReport)
    assert report["machine"].keys() == names(Machine)
    assert report["aes"].keys() == names(AesSpeed)
    for field, kind in (
        ("opened", OpenedBytes),
        ("bits", BatchCost),
        ("products", BatchCost),
        ("assembly", AssemblyCost),
    ):
        assert report[field]
        assert all(entry.keys() == names(kind) for entry in report[field])
    for cost in report["bits"] + report["products"]:
        assert cost["steps_ns"].keys() == STEPS
        assert cost["total_ns"] == pytest.approx(sum(cost["steps_ns"].values()))
        assert cost["ratio_to_aes"] == pytest.approx(cost["total_ns"] / cost["aes_ns"])
    assert [(c["operators"], c["word_bits"]) for c in report["bits"]] == [
        (4, 64),
        (4, 128),
        (7, 64),
        (7, 128),
    ]

    # 1024 bodies of TUniform(0): one group of 2048 bits, 683 elements of 3 coefficients
    narrow, wide = report["bits"][:2]
    assert (narrow["items"], narrow["opened_bytes"]) == (2048, 683 * 3 * 8)
    assert narrow["opened_bytes_per_item"] == 683 * 3 * 8 / 2048
    # 409 bodies of TUniform(3): 818 bits of weight 0, 409 of each of 3 weights, 16 bytes a word
    assert (wide["items"], wide["opened_bytes"]) == (409 * 5, (273 + 3 * 137) * 3 * 16)
    # operator 1 is in 3 of 4 sets A and in 3 sets B of the family
    assert narrow["stream_bytes"] == 3 * 2048 * 8 + 3 * 683 * 3 * 8

    # a row of 256 products is 86 elements of 3 coefficients
    assert [c["items"] for c in report["products"][:2]] == [512, 256]
    assert [c["opened_bytes"] for c in report["products"][:2]] == [2 * 86 * 3 * 8, 86 * 3 * 16]

    rows = [(min(2, item.rows), item.row_bodies) for item in public_objects(lookup("test"))]
    bodies = sum(count * length for count, length in rows)
    assert [entry["bodies"] for entry in report["assembly"]] == [bodies, bodies]

    assert "measuring random bits" in printed.err


def test_opened_bytes_of_a_key_set_count_every_random_bit_once(run):
    opened = json.loads(run(as_json=True).out)["opened"]

    four = {entry["word_bits"]: entry for entry in opened if entry["operators"] == 4}
    assert four[64]["bits"] + four[128]["bits"] == 729_638
    for word_bits, entry in four.items():
        exact = entry["bits"] * word_bits // 8  # no weight here makes a word a byte shorter
        assert exact <= entry["opened_bytes"] < exact * 1.01
        assert entry["opened_bytes_per_bit"] == entry["opened_bytes"] / entry["bits"]


def test_the_table_shows_every_step_and_no_path(run):
    printed = run(as_json=False).out

    assert all(step in printed for step in STEPS)
    assert "ratio to AES" in printed
    assert "8.004" in printed
    assert "/" not in printed.replace("GB/s", "")
