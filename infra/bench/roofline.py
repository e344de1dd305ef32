"""What a kernel must do at least, and how long the machine takes for that at best.

Counts are lower bounds of the method, not of this implementation: every stream block enciphered
once where it is used, every vector read or written once, every product formed once. With so many
of each, an item cannot take less than the slowest of them takes alone.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.bench.model import Roof
from infra.bench.timing import PORTABLE
from mpc_core.sharing.cached import worth_noting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.bench.model import BatchCost, Rates

__all__ = ["batch_needs", "negacyclic_needs", "prss_needs", "roof"]

BLOCK_BYTES = 16
SHORT_BITS, LIMB_BITS = 16, 32
DIGIT_BITS = 16
ROOT_STEPS = 6
"""Newton steps that double the precision of a root from 3 bits to 128."""


def roof(
    name: str, mode: str, needs: Mapping[str, float], measured_ns: float, rates: Rates
) -> Roof:
    """Compare what an item takes with what the machine could do it in.

    Args:
        name: of the kernel.
        mode: of the kernel.
        needs: by the names of `Rates`.
        measured_ns: nanoseconds for an item.
        rates: of the machine.
    """
    speeds = asdict(rates)
    bounds = {kind: count / speeds[kind] for kind, count in needs.items() if count}
    bound = max(bounds, key=lambda kind: bounds[kind])
    return Roof(name, mode, dict(needs), bounds, bound, measured_ns, measured_ns / bounds[bound])


def prss_needs(sets: int, degree: int, word_bits: int, mode: str) -> dict[str, float]:
    """Return what a share of a pseudo-random value takes: a multiply-add for each limb and set."""
    kind, limb = (
        ("multiply_adds", LIMB_BITS) if mode == PORTABLE else ("short_multiply_adds", SHORT_BITS)
    )
    words = word_bits // 8
    return {
        "aes_blocks": sets * words / BLOCK_BYTES,
        kind: sets * degree * word_bits / limb,
        "memory_bytes": degree * words,
    }


def batch_needs(cost: BatchCost, sets: int, masks: int) -> dict[str, float]:
    """Return what a random bit takes from its keys to its share.

    Args:
        cost: the batch.
        sets: access sets of an operator.
        masks: sets of the zero masks with one operator.
    """
    degree, words = cost.degree, cost.word_bits // 8
    share = prss_needs(sets, degree, cost.word_bits, cost.mode)
    noted = 2 * degree * words if worth_noting(sets, degree) else 0  # written and read, encrypted
    needs: Counter[str] = Counter()
    needs.update(share)  # for the vector
    needs.update({"aes_blocks": noted / BLOCK_BYTES} if noted else share)  # for what is kept
    mask = prss_needs(masks, degree, cost.word_bits, cost.mode)
    mask["memory_bytes"] = 0
    needs.update(mask)  # d words for an element of d bits: as many as one bit has
    halves = cost.word_bits // 64
    product = halves * (halves + 1) // 2
    squares = degree * (degree + 1) // 2
    opening = (2 * cost.threshold + 1) * words
    needs["multiplications"] = product * (squares + 2 * ROOT_STEPS + 1 + degree)
    needs["memory_bytes"] = words + opening + 2 * words + noted
    return dict(needs)


def negacyclic_needs(size: int, word_bits: int) -> dict[str, float]:
    """Return what a product of polynomials takes by transforms, one factor transformed before.

    A transform of M complex points takes 5/2 M log2 M multiply-adds, a product of digits 4 M.
    """
    half, digits = size // 2, word_bits // DIGIT_BITS
    transform = 2.5 * half * math.log2(half)
    products = digits * (digits + 1) // 2
    return {
        "multiply_adds": 2 * digits * transform + 4 * half * products,
        "memory_bytes": 2 * size * word_bits // 8,
    }
