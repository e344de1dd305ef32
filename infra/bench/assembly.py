"""The shares of all bodies of a key set at one operator (PROTOCOL.md, "Assembly")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.bench.model import AssemblyCost
from infra.bench.timing import median_times
from mpc_core.ring.galois import Ring, degree_for
from mpc_core.tfhe.assembly import packed_body_shares, product_rows
from mpc_core.tfhe.objects import public_objects, secret_keys

if TYPE_CHECKING:
    from mpc_core.ring.galois import RingArray
    from mpc_core.tfhe.objects import PublicObject
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["measure_assembly"]

SEED = bytes(16)


def measure_assembly(
    parameters: Parameters, n: int, repetitions: int, rows: int | None
) -> AssemblyCost:
    """Measure the assembly of a parameter set on shares that are zero.

    Args:
        parameters: the parameter set.
        n: number of operators.
        repetitions: how often.
        rows: rows of each object, at most; None for all.
    """
    degree = degree_for(n)
    keys = {
        key.name: Ring(key.word_bits, degree).zeros(key.bits) for key in secret_keys(parameters)
    }
    chosen = [
        (item, item.rows if rows is None else min(rows, item.rows))
        for item in public_objects(parameters)
    ]

    def assemble() -> None:
        for item, count in chosen:
            _assemble(parameters, item, keys, count, degree)

    taken = median_times({"assembly": assemble}, repetitions)
    bodies = sum(count * item.row_bodies for item, count in chosen)
    return AssemblyCost(parameters.name, n, bodies, taken["assembly"] / 1e9)


def _assemble(
    parameters: Parameters, item: PublicObject, keys: dict[str, RingArray], rows: int, degree: int
) -> None:
    ring = Ring(item.word_bits, degree)
    products = None
    if item.product:
        row_elements = -(-item.product.row_length // degree)
        products = ring.zeros(len(product_rows(item, 0, rows)) * row_elements)
    noise = ring.zeros(rows * item.row_bodies)
    packed_body_shares(
        parameters,
        item,
        SEED,
        keys,
        noise,
        products=products,
        start_row=0,
        rows=rows,
        ring=ring,
    )
