"""The bodies of a key set where they were opened: a mapping that reads them piece by piece.

A key set has half a gigabyte of bodies. Nobody needs them all at once: a file is written, hashed or
compared from front to back, and an opening is usually a mapped file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.ring.galois import Ring
from mpc_core.sharing.packing import unpack
from mpc_core.sharing.spans import bytes_of
from mpc_core.tfhe.objects import public_objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.ring.galois import RingArray, WordArray
    from mpc_core.sharing.opening import Buffer
    from mpc_core.tfhe.objects import PublicObject
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["OpenedBodies", "pieces_of"]

PIECE = 1 << 16
"""Bodies that are handled at once, about: up to 1 MiB."""


class OpenedBodies(Mapping[int, "WordArray"]):
    """All bodies by object number, read from the openings of the assembly batches when asked for.

    Looking up an object makes an array of all its bodies; `pieces` does not. Both raise
    RF-BATCH-002 for an opening of another length.
    """

    def __init__(
        self, parameters: Parameters, layout: CeremonyLayout, opening: Callable[[int], Buffer]
    ) -> None:
        """Take the bodies from openings.

        Args:
            parameters: the parameter set.
            layout: the ceremony's layout.
            opening: returns the canonical opening of an assembly batch, by its index.
        """
        self._items = {item.number: item for item in public_objects(parameters)}
        self._batches = [batch for batch in layout.assembly if batch.purpose == "bodies"]
        self._opening = opening

    def __iter__(self) -> Iterator[int]:
        """Yield the object numbers."""
        return iter(self._items)

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self._items)

    def __getitem__(self, number: int) -> WordArray:
        """Return the bodies of an object, shape (bodies,), or (bodies, 2) for 128-bit objects."""
        item = self._items[number]
        shape = Ring(item.word_bits, 1).word_shape
        bodies = np.empty((item.bodies, *shape), dtype=np.uint64)
        start = 0
        for piece in self.pieces(number):
            bodies[start : start + len(piece)] = piece
            start += len(piece)
        return bodies

    def pieces(self, number: int) -> Iterator[WordArray]:
        """Yield the bodies of an object in order, some rows at a time; not to be written to."""
        for batch in self._batches:
            if any(run.item == number for run in batch.segments):
                yield from self._opened(batch, number)

    def _opened(self, batch: BatchLayout, number: int) -> Iterator[WordArray]:
        """Yield the bodies of an object that were opened in a batch."""
        ring = Ring(batch.word_bits, batch.degree)
        data = bytes_of(self._opening(batch.index), batch.element_groups, ring)
        elements = data.view("<u8").reshape(ring.shape(-1))
        start = 0
        for run in batch.segments:
            item = self._items[run.item]
            stop = start + item.packed_elements(run.count, batch.degree)
            if run.item == number:
                yield from _unpacked(item, elements[start:stop], run.count)
            start = stop


def _unpacked(item: PublicObject, elements: RingArray, rows: int) -> Iterator[WordArray]:
    """Undo `assembly.pack_rows` on public values: rows of polynomials were padded one by one."""
    shape = elements.shape[2:]
    if not item.packed_by_row:
        yield from _parts(unpack(elements, rows * item.row_bodies))
        return
    by_row = elements.reshape(rows, -1, *shape)[:, : item.row_bodies]
    step = max(1, PIECE // item.row_bodies)
    for start in range(0, rows, step):
        yield by_row[start : start + step].reshape(-1, *shape)


def pieces_of(bodies: Mapping[int, WordArray], number: int) -> Iterator[WordArray]:
    """Yield the bodies of an object in order, from opened ones or from one array."""
    return bodies.pieces(number) if isinstance(bodies, OpenedBodies) else _parts(bodies[number])


def _parts(bodies: WordArray) -> Iterator[WordArray]:
    return (bodies[start : start + PIECE] for start in range(0, len(bodies), PIECE))
