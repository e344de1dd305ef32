"""What a batch is: its positions, its weight groups, and where what it made is kept.

A batch is opened at once. Random bits of equal weight are packed together; an element of the group
of weight i lives mod 2^(K - i) (PROTOCOL.md, "Preprocessing").
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "FLOOD",
    "BatchLayout",
    "Place",
    "Places",
    "Segment",
    "WeightGroup",
    "noise_groups",
    "places_of",
]

FLOOD = 0
"""Stands where the number of a public object would: the flood noise of test openings."""


@dataclass(frozen=True, slots=True)
class WeightGroup:
    """`bits` random bits that are used times 2^weight, so generated mod 2^(K - weight)."""

    weight: int
    bits: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of positions of one object.

    Attributes:
        item: number of the public object or `FLOOD`; in stage S the place of the secret key in
            generation order, from 0.
        start: first body (N), key bit (S), product row (M) or row (O) of the run.
        count: how many.
        noise_bound_log2: stage N: b of TUniform(b).
    """

    item: int
    start: int
    count: int
    noise_bound_log2: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is kept: `count` positions from `offset` on in what batch `batch` stored."""

    batch: int
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class BatchLayout:
    """One batch.

    Attributes:
        stage: "N", "S", "M" or "O".
        index: its number within the stage.
        purpose: "noise", "flood", "bits", "products", "seed", "bodies", "audit", "tests" or
            "decryption".
        word_bits: K.
        degree: d of GR(2^K, d).
        opening: "double" for degree 2t, "single" for degree t.
        elements: packed elements that are opened.
        segments: what the positions are for, in order.
        groups: stages N and S: the weight groups, in order; each is packed by itself.
        dependencies: (stage, index) of every batch whose opened value enters its keys.
    """

    stage: str
    index: int
    purpose: str
    word_bits: int
    degree: int
    opening: str
    elements: int
    segments: tuple[Segment, ...]
    groups: tuple[WeightGroup, ...] = ()
    dependencies: tuple[tuple[str, int], ...] = ()

    @property
    def bits(self) -> int:
        """Random bits the batch makes (stages N and S)."""
        return sum(group.bits for group in self.groups)

    @property
    def element_groups(self) -> tuple[tuple[int, int], ...]:
        """(weight, elements) of what is opened, in order; one group of weight 0 without bits."""
        if not self.groups:
            return ((0, self.elements),)
        return tuple((group.weight, -(-group.bits // self.degree)) for group in self.groups)

    @property
    def opened_bytes(self) -> int:
        """Bytes of a share vector or of v: ceil((K - i) / 8) for each coefficient."""
        return sum(
            count * self.degree * -(-(self.word_bits - weight) // 8)
            for weight, count in self.element_groups
        )


class Places:
    """Runs of one object in the order of their start, and where each is kept."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.runs: list[tuple[int, int, int]] = []

    def add(self, segment: Segment, batch: int, offset: int) -> None:
        """Note that a segment is kept in a batch from `offset` on."""
        self.starts.append(segment.start)
        self.runs.append((batch, offset, segment.count))

    def find(self, start: int, count: int) -> tuple[Place, ...]:
        """Return the places of a run; IndexError if it leaves the object."""
        found: list[Place] = []
        place = bisect_right(self.starts, start) - 1
        while count > 0:
            batch, offset, length = self.runs[place]
            skip = start - self.starts[place]
            taken = min(count, length - skip)
            if taken <= 0:
                raise IndexError("the layout has no such positions")
            found.append(Place(batch, offset + skip, taken))
            start, count, place = start + taken, count - taken, place + 1
        return tuple(found)


def places_of(batches: Sequence[BatchLayout]) -> dict[int, Places]:
    """Return, for every item of a stage, where its positions are kept."""
    places: dict[int, Places] = {}
    for batch in batches:
        offset = 0
        for segment in batch.segments:
            places.setdefault(segment.item, Places()).add(segment, batch.index, offset)
            offset += segment.count
    return places


def noise_groups(segments: Iterable[Segment]) -> tuple[WeightGroup, ...]:
    """Return the weight groups of a noise batch.

    Each segment has, for TUniform(m): weight 0 with all b_0, then all b_(m+1); then one group for
    each weight 1..m.
    """
    return tuple(
        WeightGroup(weight, segment.count * (1 if weight else 2))
        for segment in segments
        for weight in range(segment.noise_bound_log2 + 1)
    )
