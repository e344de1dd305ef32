"""What one core of this machine does at best: AES, memory, multiply-adds, multiplications."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from infra.bench.model import Rates
from infra.bench.timing import median_times

if TYPE_CHECKING:
    from infra.bench.model import AesSpeed

__all__ = ["measure_rates"]

CACHED = 2048
"""Numbers of an array that stays in the first cache."""
PASSES = 4096
BLOCK_BYTES = 16
HASHED_BYTES = 1 << 22


def measure_rates(aes: AesSpeed, large_bytes: int, repetitions: int) -> Rates:
    """Measure the rates of one core.

    Args:
        aes: the speed of AES, which is measured before.
        large_bytes: of the arrays with which the memory is measured.
        repetitions: how often.
    """
    from infra.bench import speed  # noqa: PLC0415  # compiles when imported

    source = np.ones(large_bytes // 8, np.uint64)
    target = np.empty_like(source)
    longer = CACHED + speed.PLACES
    doubles, values = np.full(longer, 0.5), np.empty(CACHED)
    shorts, factors = np.ones(longer, np.int16), np.ones(CACHED, np.int16)
    words = np.full(longer, (1 << 63) + 1, np.uint64)
    hashed = bytes(HASHED_BYTES)
    taken = median_times(
        {
            "copy": lambda: np.copyto(target, source),
            "doubles": lambda: speed.polynomials(doubles, values, 1.0, PASSES),
            "shorts": lambda: speed.products_of_shorts(shorts, factors, PASSES),
            "additions": lambda: speed.sum_of_words(words, CACHED, PASSES),
            "sha256": lambda: hashlib.sha256(hashed),
            "words": lambda: speed.whole_products(words, words[:CACHED], PASSES),
        },
        repetitions,
    )
    numbers = CACHED * PASSES
    return Rates(
        aes_blocks=aes.gigabytes_per_second / BLOCK_BYTES,
        memory_bytes=2 * source.nbytes / taken["copy"],
        multiply_adds=speed.DEGREE * numbers / taken["doubles"],
        short_multiply_adds=numbers / taken["shorts"],
        multiplications=numbers / taken["words"],
        additions=numbers / taken["additions"],
        sha256_bytes=HASHED_BYTES / taken["sha256"],
    )
