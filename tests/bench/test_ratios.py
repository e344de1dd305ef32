"""Times of the bit pipeline beside AES: `pytest tests/bench --benchmark-enable -s` prints them."""

from __future__ import annotations

from math import comb

import pytest

from infra.bench.batches import measure_batch
from infra.bench.command import _subject
from mpc_core.kernels.backend import available_modes

BITS = 2000


@pytest.mark.parametrize("word_bits", [64, 128])
@pytest.mark.parametrize(("n", "t"), [(4, 1), (13, 4)])
def test_ratio_of_a_batch_to_aes(benchmark, n: int, t: int, word_bits: int) -> None:
    subject = _subject("test", n, t)
    batch = next(b for b in subject.layout.noise if b.word_bits == word_bits)

    costs = benchmark.pedantic(
        measure_batch, args=(subject, batch, available_modes(), BITS, 3), rounds=1
    )

    for cost in costs:
        benchmark.extra_info[f"ratio to AES, {cost.mode}"] = cost.whole_ratio
        print(f"\nn = {n}, K = {word_bits}, {cost.mode}: {cost.whole_ns:.0f} ns", end=" ")  # noqa: T201
        print(f"a bit, {cost.whole_ratio:.2f} times AES")  # noqa: T201
        assert cost.stream_bytes >= comb(n - 1, t) * cost.items * word_bits // 8
