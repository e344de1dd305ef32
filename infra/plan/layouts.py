"""How a sandbox cuts a ceremony into batches: few enough to steer, small enough to lose one.

A batch costs about a second of orders, entries and signatures, whatever its size, and what is in
flight is lost with a machine. Larger sets are cut into larger batches, whose steps may take longer.
The round trips of a batch are hidden by the work of the others in flight, and those hold memory: so
the smaller the batches of a long ceremony, the more of them are in flight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.plan.sections import LayoutSection
from mpc_core.tfhe.objects import random_bits

if TYPE_CHECKING:
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["Cut", "cut_of"]


@dataclass(frozen=True, slots=True)
class Cut:
    """A layout and the time that a step of one of its batches may take.

    Attributes:
        most_bits: random bits of the largest set that is cut so.
        layout: the plan's section.
        step_seconds: the plan's deadline of a step.
    """

    most_bits: float
    layout: LayoutSection
    step_seconds: float


def _cut(
    most_bits: float, sizes_log2: tuple[int, int, int, int], in_flight: int, seconds: float
) -> Cut:
    """Return a cut, from the logarithms of bits, products and bodies a batch and of a leaf."""
    bits, products, bodies, leaf = (1 << size for size in sizes_log2)
    layout = LayoutSection(
        version=1,
        bits_per_batch=bits,
        products_per_batch=products,
        bodies_per_batch=bodies,
        leaf_bytes=leaf,
        batches_in_flight=in_flight,
    )
    return Cut(most_bits, layout, seconds)


_CUTS = (
    _cut(2e6, (16, 15, 16, 14), 6, 5.0),
    _cut(2e8, (19, 18, 18, 16), 12, 15.0),
    _cut(float("inf"), (24, 21, 21, 18), 3, 60.0),
)


def cut_of(parameters: Parameters) -> Cut:
    """Return how a parameter set of this size is cut."""
    bits = random_bits(parameters)
    return next(cut for cut in _CUTS if bits <= cut.most_bits)
