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
from mpc_core.sharing.answers import challenge_vectors
from mpc_core.sharing.cached import worth_noting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.bench.model import BatchCost, Rates

__all__ = ["batch_needs", "export_needs", "negacyclic_needs", "prss_needs", "roof"]

BLOCK_BYTES = 16
SHORT_BITS, LIMB_BITS = 16, 32
DIGIT_BITS, NATIVE_BITS = 16, 64
STEP_TO_64, STEP_TO_128 = 4, 5
SUBSET_SUMS = 11
AES_256 = 14 / 10
"""Blocks of AES-128 that one of AES-256 takes: its rounds."""

WHOLE = ("share", "open", "keep", "store")


def roof(
    name: tuple[str, str], mode: str, needs: Mapping[str, float], measured_ns: float, rates: Rates
) -> Roof:
    """Compare what an item takes with what the machine could do it in.

    Args:
        name: the batch, or nothing, and the step or kernel.
        mode: of the kernel.
        needs: by the names of `Rates`.
        measured_ns: nanoseconds for an item.
        rates: of the machine.
    """
    speeds = asdict(rates)
    bounds = {kind: count / speeds[kind] for kind, count in needs.items() if count}
    bound = max(bounds, key=lambda kind: bounds[kind])
    return Roof(*name, mode, dict(needs), bounds, bound, measured_ns, measured_ns / bounds[bound])


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


def batch_needs(cost: BatchCost, sets: int, masks: int) -> dict[str, dict[str, float]]:
    """Return what every step takes for a bit or product, and their sum as "whole" (share to store).

    Args:
        cost: the batch.
        sets: access sets of an operator.
        masks: sets of the zero masks with one operator.
    """
    bits, kept = cost.kind == "random bits", cost.kept_bytes / cost.items
    vector, sums = cost.opened_bytes_per_item, cost.degree * cost.word_bits // 8
    streams = prss_needs(sets, cost.degree, cost.word_bits, cost.mode) | {"memory_bytes": 0}
    zeros = prss_needs(masks, cost.degree, cost.word_bits, cost.mode) | {"memory_bytes": 0}
    noted = bits and worth_noting(sets, cost.degree)
    disk = {"aes_blocks": AES_256 * sums / BLOCK_BYTES, "memory_bytes": sums} if noted else {}
    needs: dict[str, dict[str, float]] = {
        "share": _sum(streams, zeros, disk, _share_products(cost), {"memory_bytes": vector}),
        "open": _open_needs(cost),
        "check": {"memory_bytes": vector},
        "answer": _answer_needs(cost),
        "keep": _sum(disk or streams, _root_products(cost), {"memory_bytes": vector + kept}),
        "store": {"aes_blocks": AES_256 * kept / BLOCK_BYTES, "memory_bytes": 2 * kept},
        "hash": {"sha256_bytes": vector, "memory_bytes": vector},
        "write": {"memory_bytes": 2 * vector},
    }
    return needs | {"whole": _sum(*(needs[step] for step in WHOLE))}


def _share_products(cost: BatchCost) -> dict[str, float]:
    """Return the products of the formula of a share vector.

    x^2 in GR is d squares and d(d-1)/2 products of coordinates (`kernels.bits`); a product of a
    share and an element is d^2 of them for d positions (`preprocessing.products`).
    """
    product, d = _word_products(cost.word_bits), cost.degree
    if cost.kind != "random bits":
        return {"multiplications": product * d}
    square = cost.word_bits // NATIVE_BITS
    return {"multiplications": square * d + product * d * (d - 1) / 2}


def _root_products(cost: BatchCost) -> dict[str, float]:
    """Return the products that make shares of bits of v (`kernels.openings.add_strip`).

    Newton's steps within 32 bits are left out. The step to 64 bits takes four products, that to 128
    bits five; then d coordinates are multiplied. A low half of a product counts as a whole one.
    """
    if cost.kind != "random bits":
        return {}
    steps = STEP_TO_64 + (STEP_TO_128 if cost.word_bits > NATIVE_BITS else 0)
    return {"multiplications": steps + cost.degree * _word_products(cost.word_bits)}


def _open_needs(cost: BatchCost) -> dict[str, float]:
    """Return what interpolation takes (`kernels.decode`): a matrix of (2t+1)d rows and d columns.

    Limbs of 32 bits times small entries add up in 64 bits, as many at a time as doubles; a word is
    multiplied by the inverse of the denominator.
    """
    points = 2 * cost.threshold + 1
    return {
        "multiply_adds": points * cost.degree * cost.word_bits / LIMB_BITS,
        "multiplications": _word_products(cost.word_bits),
        "memory_bytes": (points + 1) * cost.opened_bytes_per_item,
    }


def _answer_needs(cost: BatchCost) -> dict[str, float]:
    """Return what a sum over a vector takes (`kernels.challenge`).

    Of four elements the 11 subset sums of more than one are made, and one is added for each row of
    the challenge; a bit of its stream is enciphered for each element and row.
    """
    rows, d = challenge_vectors(cost.degree) * cost.degree, cost.degree
    return {
        "additions": (rows + SUBSET_SUMS) / 4 * cost.word_bits / NATIVE_BITS,
        "aes_blocks": rows / 8 / BLOCK_BYTES / d,
        "memory_bytes": cost.opened_bytes_per_item,
    }


def _word_products(word_bits: int) -> int:
    """Return the products of 64 bits that a product mod 2^K takes."""
    halves = word_bits // NATIVE_BITS
    return halves * (halves + 1) // 2


def _sum(*parts: Mapping[str, float]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)


def export_needs() -> dict[str, float]:
    """Return what a byte of key files takes: hashed once, and read from bodies."""
    return {"sha256_bytes": 1.0, "memory_bytes": 1.0}


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
