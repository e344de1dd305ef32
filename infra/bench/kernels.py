"""Kernels alone: the PRSS of a large committee, and products of polynomials."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from infra.bench.model import KernelCost
from infra.bench.timing import in_mode, make_stream, median_times
from mpc_core.ring.galois import Ring, degree_for
from mpc_core.sharing.prss import batch_key, prss_share
from mpc_core.sharing.sets import sets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["ANY", "measure_negacyclic", "measure_prss"]

AT = 1
WIDE = 128
ANY = "any CPU"
"""In place of a mode, for a kernel that names no instructions: there is one for all modes."""

ROWS = 16
"""Masks that are multiplied by one transformed key in a measurement."""


def measure_prss(
    n: int, t: int, modes: Iterable[str], count: int, repetitions: int
) -> tuple[KernelCost, ...]:
    """Measure shares of pseudo-random values of Z_2^128.

    Args:
        n: operators.
        t: threshold.
        modes: kinds of kernels.
        count: shares that are made at a time.
        repetitions: how often.
    """
    ring = Ring(WIDE, degree_for(n))
    keys = {
        members: batch_key(hashlib.sha256(bytes(members)).digest(), b"bench", "bits", WIDE)
        for members in sets_of(n, t, AT)
    }
    size = len(keys) * WIDE // 8
    tasks = {mode: lambda: prss_share(keys, AT, count, ring) for mode in modes}
    return _costs("PRSS share", n, tasks, (count, size), repetitions)


def measure_negacyclic(size: int, repetitions: int) -> tuple[KernelCost, ...]:
    """Measure products of a mask and a polynomial mod (2^128, X^N + 1) that is transformed before.

    Args:
        size: N.
        repetitions: how often.
    """
    from mpc_core.kernels.negacyclic import add_negacyclic_sum, transform_key  # noqa: PLC0415

    numbers = np.random.default_rng(1)
    key = numbers.integers(0, 1 << 63, (1, size, 1, 2), np.uint64)
    masks = numbers.integers(0, 1 << 63, (ROWS, 1, size, 2), np.uint64)
    total = np.zeros((ROWS, size, 1, 2), np.uint64)
    transformed = transform_key(key, WIDE)
    tasks = {ANY: lambda: add_negacyclic_sum(masks, transformed, total)}
    return _costs("negacyclic product", 0, tasks, (ROWS, size * WIDE // 8), repetitions)


def _costs(
    name: str,
    n: int,
    tasks: Mapping[str, Callable[[], object]],
    shape: tuple[int, int],
    repetitions: int,
) -> tuple[KernelCost, ...]:
    """Time tasks that make so many items of so many stream bytes, and AES beside them."""
    items, size = shape

    def bound(mode: str, task: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            with in_mode(mode):
                return task()

        return run

    timed = {mode: task if mode == ANY else bound(mode, task) for mode, task in tasks.items()}
    taken = median_times({"aes": lambda: make_stream(items * size), **timed}, repetitions)
    aes = taken["aes"] / items
    return tuple(
        KernelCost(name, mode, n, taken[mode] / items, size, aes, taken[mode] / items / aes)
        for mode in tasks
    )
