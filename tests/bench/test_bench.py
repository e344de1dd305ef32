"""`ringforge bench` at small sizes: all documented fields are there, exact numbers are exact."""

import json
import os
from dataclasses import fields

import pytest

from infra.bench import command
from infra.bench.command import bench_command
from infra.bench.model import (
    AesSpeed,
    AssemblyCost,
    BatchCost,
    BenchReport,
    KernelCost,
    Machine,
    OpenedBytes,
    Rates,
    Roof,
    Sizes,
)
from infra.estimate import kernels
from mpc_core.kernels.backend import kernel_mode

SMALL = Sizes(
    committees=((4, 1), (7, 2)),
    parameters="test",
    counted=("test",),
    positions=2048,
    polynomial_size=256,
    repetitions=1,
    large_bytes=1 << 20,
)
STEPS = {"share", "open", "check", "answer", "keep", "store", "hash", "write"}


@pytest.fixture(scope="module")
def printed():
    """Run the command once on the kernels that the tests use; return what it prints, both ways."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "warm_kernels", lambda folder, say: say("kernels"))
        patch.setattr(kernels, "BODIES", 1 << 9)
        patch.setattr(kernels, "REPETITIONS", 1)
        patch.setenv("NUMBA_CACHE_DIR", os.environ.get("NUMBA_CACHE_DIR", ""))  # restored
        said = []
        patch.setattr(command, "_say", said.append)
        report = command.measure(SMALL, said.append)
        written = []
        patch.setattr(command, "measure", lambda sizes, say: report)
        patch.setattr(command.sys.stdout, "write", written.append)
        for as_json in (True, False):
            assert bench_command(as_json=as_json, sizes=SMALL) == 0
    return written[0], written[1], said


def names(kind):
    return {field.name for field in fields(kind)}


def test_json_has_the_documented_fields(printed):
    report = json.loads(printed[0])
    assert report.keys() == names(BenchReport)
    for field, kind in (
        ("machine", Machine),
        ("aes", AesSpeed),
        ("rates", Rates),
        ("assembly", AssemblyCost),
    ):
        assert report[field].keys() == names(kind)
    for field, kind in (
        ("opened", OpenedBytes),
        ("batches", BatchCost),
        ("kernels", KernelCost),
        ("roofs", Roof),
    ):
        assert report[field]
        assert all(entry.keys() == names(kind) for entry in report[field])
    assert any("measuring noise" in line for line in printed[2])


def test_every_batch_is_measured_with_portable_kernels_and_with_the_fastest(printed):
    batches = json.loads(printed[0])["batches"]
    modes = list(dict.fromkeys(("portable", kernel_mode())))
    expected = [
        (kind, n, word_bits, mode)
        for n in (4, 7)
        for kind in ("random bits", "products")
        for word_bits in (64, 128)
        for mode in modes
    ]
    found = [(c["kind"], c["operators"], c["word_bits"], c["mode"]) for c in batches]
    assert found == expected
    assert all(cost["steps_ns"].keys() == STEPS for cost in batches)


def test_bytes_of_batches_are_exact(printed):
    batches = [c for c in json.loads(printed[0])["batches"] if c["mode"] == "portable"]
    narrow, wide, product, broad = batches[:4]
    # 1024 bodies of TUniform(0): one group of 2048 bits, 683 elements of 3 coefficients
    assert (narrow["items"], narrow["opened_bytes"]) == (2048, 683 * 3 * 8)
    assert narrow["opened_bytes_per_item"] == 683 * 3 * 8 / 2048
    # 409 bodies of TUniform(3): 818 bits of weight 0, 409 of each of 3 weights, 16 bytes a word
    assert (wide["items"], wide["opened_bytes"]) == (409 * 5, (273 + 3 * 137) * 3 * 16)
    # operator 1 is in 3 of 4 sets A and in 3 sets B of the family
    assert narrow["stream_bytes"] == 3 * 2048 * 8 + 3 * 683 * 3 * 8
    # a row of 256 products is 86 elements of 3 coefficients
    assert (product["items"], product["opened_bytes"]) == (2048, 8 * 86 * 3 * 8)
    assert (broad["items"], broad["opened_bytes"]) == (256, 86 * 3 * 16)
    assert broad["stream_bytes"] == (3 + 3) * 86 * 3 * 16
    # a share of three words of each of 1024 and 409 bodies; of a product its packed elements
    assert (narrow["kept_bytes"], wide["kept_bytes"]) == (1024 * 3 * 8, 409 * 3 * 16)
    assert broad["kept_bytes"] == broad["opened_bytes"]
    assert narrow["stream_bytes_per_item"] == narrow["stream_bytes"] / 2048


def test_opened_bytes_of_a_key_set_count_every_random_bit_once(printed):
    opened = json.loads(printed[0])["opened"]
    four = {entry["word_bits"]: entry for entry in opened if entry["operators"] == 4}
    assert four[64]["bits"] + four[128]["bits"] == 729_638
    for word_bits, entry in four.items():
        exact = entry["bits"] * word_bits // 8  # no weight here makes a word a byte shorter
        assert exact <= entry["opened_bytes"] < exact * 1.01
        assert entry["opened_bytes_per_bit"] == entry["opened_bytes"] / entry["bits"]


def test_the_table_shows_every_step_and_no_path(printed):
    table = printed[1]
    assert all(step in table for step in STEPS)
    for words in (
        "ratio to AES",
        "two threads",
        "PRSS share, n = 4",
        "PRSS share, n = 7",
        "export, a byte",
        "negacyclic product, any CPU",
        "share, open, keep, store",
        "stream bytes each",
        "counts the streams of the zero masks",
        "8.004",
    ):
        assert words in table
    assert "/" not in table.replace("GB/s", "")


def test_every_step_of_every_batch_has_its_distance(printed):
    report = json.loads(printed[0])
    found = {}
    for roof in report["roofs"]:
        found.setdefault((roof["batch"], roof["mode"]), set()).add(roof["name"])
        assert roof["distance"] == roof["measured_ns"] / roof["bounds_ns"][roof["bound"]]
    batches = [
        found[f"{cost['kind']}, n={cost['operators']} K={cost['word_bits']}", cost["mode"]]
        for cost in report["batches"]
    ]
    assert all(steps == STEPS | {"whole"} for steps in batches)
