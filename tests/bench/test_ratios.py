"""Times of the bit pipeline beside AES: `pytest tests/bench --benchmark-enable -s` prints them."""

from __future__ import annotations

from math import comb

import pytest

from infra.bench.batches import BitsBatch
from infra.bench.timing import make_stream, median_times
from mpc_core.preprocessing.batches import BatchLayout, Segment, noise_groups
from mpc_core.ring.galois import degree_for

BITS_PER_BODY = 5


def noise_batch(n: int, t: int, word_bits: int, bodies: int) -> BitsBatch:
    segments = (Segment(1, 0, bodies, BITS_PER_BODY - 2),)
    groups = noise_groups(segments)
    degree = degree_for(n)
    elements = sum(-(-group.bits // degree) for group in groups)
    layout = BatchLayout("N", 0, "noise", word_bits, degree, "double", elements, segments, groups)
    return BitsBatch(n, t, layout, 16_384)


@pytest.mark.parametrize("word_bits", [64, 128])
@pytest.mark.parametrize(("n", "t"), [(4, 1), (13, 4)])
def test_ratio_of_a_batch_to_aes(benchmark, n: int, t: int, word_bits: int) -> None:
    batch = noise_batch(n, t, word_bits, bodies=400)

    cost = benchmark.pedantic(batch.measure, args=(3,), rounds=1)

    benchmark.extra_info["ratio to AES"] = cost.ratio_to_aes
    print(f"\nn = {n}, K = {word_bits}: {cost.total_ns:.0f} ns a bit,", end=" ")  # noqa: T201
    print(f"{cost.ratio_to_aes:.2f} times AES")  # noqa: T201
    assert cost.stream_bytes >= comb(n - 1, t) * batch.items * word_bits // 8


@pytest.mark.parametrize("step", ["share_vector", "stored_share"])
@pytest.mark.parametrize("word_bits", [64, 128])
@pytest.mark.parametrize(("n", "t"), [(4, 1), (13, 4)])
def test_ratio_of_a_step_to_aes(benchmark, n: int, t: int, word_bits: int, step: str) -> None:
    bodies = 400
    batch = noise_batch(n, t, word_bits, bodies)
    opened = batch.ring.zeros(batch.layout.elements)
    run = {
        "share_vector": lambda: batch.share_vector(1),
        "stored_share": lambda: batch.stored_share(opened),
    }[step]

    result = benchmark(run)

    taken = median_times({"step": run, "aes": lambda: make_stream(batch.stream_bytes)}, 3)
    ratio = taken["step"] / taken["aes"]
    benchmark.extra_info["ratio to AES"] = ratio
    print(f"\n{step}, n = {n}, K = {word_bits}: {ratio:.2f} times AES")  # noqa: T201
    expected = batch.layout.elements if step == "share_vector" else bodies
    assert result.shape == batch.ring.shape(expected)
