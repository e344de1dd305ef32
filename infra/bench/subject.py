"""An operator whose steps are measured: real steps, on stage keys that everybody may know.

What batches build on is zero: no step depends on the values it works with, and shares and public
values of a ceremony look alike to it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from activities.operator import Operator
from activities.work import work_of
from mpc_core.preprocessing.batches import BatchLayout, Segment, noise_groups
from mpc_core.protocol.context import BatchContext, BatchName
from mpc_core.ring.galois import Ring
from mpc_core.sharing.sets import sets_of
from mpc_core.tfhe.objects import public_objects
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from activities.arithmetic import KnownValues
    from activities.ports import Blobs, Log, Peers, Store, SumsCache
    from activities.work import BatchWork
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.plan import Plan
    from mpc_core.ring.galois import RingArray
    from mpc_core.sharing.opening import Buffer
    from mpc_core.tfhe.objects import PublicObject
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["Subject", "cut_to", "drain", "joined"]


@dataclass(frozen=True, slots=True)
class _KnownKeys:
    """A vault that holds stage keys only: a hash of each set."""

    plan: Plan
    index: int

    def read(self, name: str) -> bytes:
        """Return the stage keys of an operator."""
        sets = sets_of(self.plan.count, self.plan.threshold, self.index)
        return b"".join(hashlib.sha256(name.encode() + bytes(members)).digest() for members in sets)


@dataclass(frozen=True, slots=True)
class _Zeros:
    """Earlier batches of which all shares and openings are zero."""

    layout: CeremonyLayout

    def shares(self, key: BatchKey) -> RingArray:
        """Return as many zeros as an operator keeps of a batch."""
        batch = self.layout.batch(*key)
        count = batch.elements if key[0] == "M" else sum(run.count for run in batch.segments)
        return Ring(batch.word_bits, batch.degree).zeros(count)

    def opening(self, key: BatchKey) -> memoryview:
        """Return an opening of zeros."""
        return memoryview(bytes(self.layout.batch(*key).opened_bytes))


@dataclass(frozen=True, slots=True)
class Subject:
    """The committee of a plan, each of whose operators can be measured.

    Attributes:
        plan: the plan.
        layout: its batches.
    """

    plan: Plan
    layout: CeremonyLayout

    @property
    def parameters(self) -> Parameters:
        """The parameter set of the plan."""
        return lookup(self.plan.parameters)

    @property
    def objects(self) -> tuple[PublicObject, ...]:
        """The public objects of the set."""
        return public_objects(self.parameters)

    def work(self, batch: BatchLayout, index: int = 1, cache: SumsCache | None = None) -> BatchWork:
        """Return the work of one operator on a batch; `cache` is where it notes sums."""
        context = BatchContext(BatchName(batch.stage, batch.index))
        work = work_of(self.operator(index), batch, context, _Zeros(self.layout))
        work.cache = cache
        return work

    def operator(self, index: int) -> Operator:
        """Return an operator of the committee, without the ports that no arithmetic touches."""
        nothing = object()
        return Operator(
            plan=self.plan,
            index=index,
            parameters=self.parameters,
            layout=self.layout,
            log=cast("Log", nothing),
            known=cast("KnownValues", nothing),
            blobs=cast("Blobs", nothing),
            peers=cast("Peers", nothing),
            vault=cast("Store", _KnownKeys(self.plan, index)),
            work=cast("Store", nothing),
            cache=cast("SumsCache", nothing),
            random=lambda _, length: bytes(length),
        )


def cut_to(batch: BatchLayout, positions: int, parameters: Parameters) -> BatchLayout:
    """Return a batch with at most so many bits, products or bodies, of the same kind.

    At least one body, key bit or row is left.
    """
    sizes = _sizes(batch, parameters)
    segments: list[Segment] = []
    room = positions
    for segment, size in zip(batch.segments, sizes, strict=True):
        count = min(segment.count, max(room // size, 0 if segments else 1))
        if count:
            segments.append(replace(segment, count=count))
        room -= count * size
    return _with_segments(batch, tuple(segments), parameters)


def joined(pieces: Iterable[Buffer]) -> memoryview:
    """Return pieces as a whole; each is copied before the next is made, which may take its room."""
    return memoryview(b"".join(map(bytes, pieces)))


def drain(pieces: Iterable[Buffer]) -> None:
    """Use up what is made piece by piece."""
    for _ in pieces:
        pass


def _sizes(batch: BatchLayout, parameters: Parameters) -> list[int]:
    """Return how many bits, products or bodies one position of each segment has."""
    items = {item.number: item for item in public_objects(parameters)}
    sizes = []
    for segment in batch.segments:
        item = items.get(segment.item)
        if batch.stage == "N":
            sizes.append(segment.noise_bound_log2 + 2)
        elif batch.stage == "M" and item is not None and item.product is not None:
            sizes.append(item.product.row_length)
        elif batch.stage == "O" and item is not None:
            sizes.append(item.row_bodies)
        else:
            sizes.append(1)
    return sizes


def _with_segments(
    batch: BatchLayout, segments: tuple[Segment, ...], parameters: Parameters
) -> BatchLayout:
    items = {item.number: item for item in public_objects(parameters)}
    groups = batch.groups
    if batch.stage == "N":
        groups = noise_groups(segments)
        elements = sum(-(-group.bits // batch.degree) for group in groups)
    elif batch.stage == "S":
        groups = (replace(groups[0], bits=sum(segment.count for segment in segments)),)
        elements = -(-groups[0].bits // batch.degree)
    elif batch.stage == "M":
        rows = [(segment.count, items[segment.item].product) for segment in segments]
        elements = sum(
            count * -(-product.row_length // batch.degree)
            for count, product in rows
            if product is not None
        )
    else:
        elements = sum(
            items[segment.item].packed_elements(segment.count, batch.degree) for segment in segments
        )
    return replace(batch, segments=segments, groups=groups, elements=elements)
