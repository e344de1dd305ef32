"""A look at all coefficients of a value finds every bit of every one, and nothing else."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mpc_core.kernels.openings import STRIP, scan
from mpc_core.sharing.sums import address_of

AROUND = 0xFF
"""What stands after the last coefficient."""


def found(data: bytes, count: int, width: int) -> int:
    padded = np.frombuffer(data + bytes([AROUND]) * 16, np.uint8)
    seen = np.zeros(2, np.uint64)
    scan(address_of(padded), count, np.uint64(width), seen)
    low, upper = seen.tolist()
    return low | upper << 64


@pytest.mark.parametrize("width", range(1, 17))
@pytest.mark.parametrize("count", [0, 1, STRIP - 1, STRIP, STRIP + 1, 3 * STRIP, 3 * STRIP + 5])
def test_all_bits_of_all_coefficients_are_seen_and_no_others(width: int, count: int) -> None:
    assert found(bytes(count * width), count, width) == 0
    draw = random.Random(width * count)
    for _ in range(20 if count else 0):
        place, bit = draw.randrange(count), draw.randrange(8 * width)
        value = (1 << bit).to_bytes(width, "little")
        data = bytes(place * width) + value + bytes((count - place - 1) * width)
        assert found(data, count, width) == 1 << bit
