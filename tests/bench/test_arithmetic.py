"""The arithmetic of the table, on scripted times."""

import math
import os

import pytest

from infra.bench.batches import batch_cost
from infra.bench.command import _subject
from infra.bench.model import Rates
from infra.bench.roofline import batch_needs, negacyclic_needs, prss_needs, roof
from infra.bench.subject import cut_to
from infra.bench.timing import in_mode, median_times
from mpc_core.kernels.backend import SETTING

RATES = Rates(
    aes_blocks=0.5,
    memory_bytes=10.0,
    multiply_adds=20.0,
    short_multiply_adds=40.0,
    multiplications=2.0,
    additions=16.0,
    sha256_bytes=2.0,
)


@pytest.fixture(scope="module")
def subject():
    return _subject("test", 4, 1)


def _cost(subject, batch, mode="portable"):
    taken = {
        "share": 20.0,
        "open": 8.0,
        "check": 1.0,
        "answer": 3.0,
        "keep": 12.0,
        "store": 4.0,
        "hash": 5.0,
        "write": 2.0,
    }
    items = batch.bits
    scaled = {name: nanoseconds * items for name, nanoseconds in taken.items()}
    return batch_cost(subject, batch, mode, scaled, (10.0 * items, 1.9))


def test_sums_and_ratios_of_a_batch(subject):
    batch = cut_to(subject.layout.noise[0], 2048, subject.parameters)
    cost = _cost(subject, batch)
    assert cost.whole_ns == pytest.approx(20 + 8 + 12 + 4)
    assert cost.all_ns == pytest.approx(44 + 1 + 2 * 3 + 2 * 5 + 2 * 2)
    assert (cost.whole_ratio, cost.all_ratio) == (pytest.approx(4.4), pytest.approx(6.5))
    assert cost.challenge_share == pytest.approx(2 * 3 / 65)
    assert cost.two_threads == 1.9
    assert cost.items == batch.bits


def test_a_kernel_is_compared_with_the_slowest_of_what_it_needs():
    needs = {"aes_blocks": 6.0, "memory_bytes": 100.0, "multiplications": 30.0, "multiply_adds": 0}
    found = roof(("", "a bit"), "portable", needs, 45.0, RATES)
    assert found.bounds_ns == {"aes_blocks": 12.0, "memory_bytes": 10.0, "multiplications": 15.0}
    assert (found.bound, found.distance) == ("multiplications", 3.0)


def test_a_share_of_thirteen_operators_enciphers_495_blocks():
    portable = prss_needs(495, 4, 128, "portable")
    fast = prss_needs(495, 4, 128, "avx512")
    assert portable == {"aes_blocks": 495, "multiply_adds": 495 * 4 * 4, "memory_bytes": 64}
    assert fast == {"aes_blocks": 495, "short_multiply_adds": 495 * 4 * 8, "memory_bytes": 64}


def test_a_bit_of_four_operators_enciphers_its_streams_twice_and_its_masks_once(subject):
    wide = next(batch for batch in subject.layout.noise if batch.word_bits == 128)
    cost = _cost(subject, cut_to(wide, 2048, subject.parameters))
    needs, kept = batch_needs(cost, 3, 3), cost.kept_bytes / cost.items
    vector = cost.opened_bytes_per_item
    assert (needs["share"]["aes_blocks"], needs["keep"]["aes_blocks"]) == (3 + 3, 3)
    assert needs["store"] == {"aes_blocks": 1.4 * kept / 16, "memory_bytes": 2 * kept}
    assert needs["open"] == {
        "multiply_adds": 3 * 3 * 4,
        "multiplications": 3,
        "memory_bytes": 4 * vector,
    }
    # three squares and three products; steps to 64 and 128 bits and three coordinates
    assert needs["share"]["multiplications"] == 2 * 3 + 3 * 3
    assert needs["keep"]["multiplications"] == 4 + 5 + 3 * 3
    # 43 vectors of three rows; four elements have 11 sums of more than one
    assert needs["answer"]["additions"] == (129 + 11) / 4 * 2
    assert needs["hash"]["sha256_bytes"] == vector
    # the own vector, three vectors and v, v again and what is kept, which is read and written
    assert needs["whole"]["memory_bytes"] == pytest.approx(6 * vector + 3 * kept)


def test_a_bit_of_thirteen_operators_enciphers_its_streams_once_and_its_share_twice():
    large = _subject("test", 13, 4)
    wide = next(batch for batch in large.layout.noise if batch.word_bits == 128)
    cost = _cost(large, cut_to(wide, 2048, large.parameters))
    needs = batch_needs(cost, 495, 55)
    assert needs["share"]["aes_blocks"] == pytest.approx(495 + 55 + 1.4 * 4)
    assert needs["keep"]["aes_blocks"] == pytest.approx(1.4 * 4)
    kept = cost.kept_bytes / cost.items
    # nine vectors more to open; the share is written and read
    assert needs["whole"]["memory_bytes"] == pytest.approx(
        12 * cost.opened_bytes_per_item + 3 * kept + 2 * 64
    )


def test_a_product_of_polynomials_takes_two_transforms_of_eight_digits():
    needs = negacyclic_needs(2048, 128)
    transforms = 2 * 8 * 2.5 * 1024 * math.log2(1024)
    assert needs["multiply_adds"] == transforms + 36 * 4 * 1024
    assert needs["memory_bytes"] == 2 * 2048 * 16


def test_the_first_round_is_not_counted_and_tasks_take_turns():
    turns = []
    taken = median_times({name: lambda name=name: turns.append(name) for name in "ab"}, 3)
    assert turns == ["a", "b"] * 4
    assert taken.keys() == {"a", "b"}


def test_the_kind_of_kernels_is_restored(monkeypatch):
    monkeypatch.delenv(SETTING, raising=False)
    with in_mode("portable"):
        assert os.environ[SETTING] == "portable"
    assert SETTING not in os.environ
    monkeypatch.setenv(SETTING, "portable")
    with in_mode("avx512"):
        assert os.environ[SETTING] == "avx512"
    assert os.environ[SETTING] == "portable"


@pytest.mark.parametrize("stage", ["noise", "secrets", "products"])
def test_a_cut_batch_is_a_smaller_one_of_the_same_kind(subject, stage):
    for batch in getattr(subject.layout, stage):
        small = cut_to(batch, 700, subject.parameters)
        assert small.purpose == batch.purpose
        assert {group.weight for group in small.groups} <= {group.weight for group in batch.groups}
        assert 0 < small.elements <= batch.elements
        assert small.elements == sum(count for _, count in small.element_groups)
        assert cut_to(batch, 1 << 30, subject.parameters) == batch


def test_a_cut_batch_of_bodies_has_whole_rows(subject):
    batch = next(batch for batch in subject.layout.assembly if batch.purpose == "bodies")
    small = cut_to(batch, 1, subject.parameters)
    assert sum(segment.count for segment in small.segments) == 1
