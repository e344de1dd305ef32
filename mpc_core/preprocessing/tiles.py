"""Batches of bits a tile at a time: from positions to encoded share vectors and to shares of bits.

Shares of x exist for a tile only. In general they are summed into memory that stays in the second
cache; for the few streams of n = 4, where that traffic would cost as much as the sums, kernels
encipher, sum and use them in strips (`kernels.quartet_fused`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from mpc_core.sharing.packing import packed_count
from mpc_core.sharing.sums import FusedQuartet, LibraryQuartet, address_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mpc_core.ring.galois import Ring, WordArray
    from mpc_core.sharing.sums import StreamSums

__all__ = ["BitTiles", "VectorTiles", "bit_tiles", "vector_tiles"]

TILE_BLOCKS = 8192
"""Blocks of a stream whose words are in memory as shares at a time."""


class VectorTiles(Protocol):
    """Writes parts of a share vector."""

    def write(  # noqa: PLR0917
        self, bit: int, mask: int, count: int, kept: WordArray, width: int, place: np.uint64
    ) -> None:
        """Write the encoding of masked shares of x^2 + x, packed from the first one on.

        Args:
            bit: number of the first x in its streams.
            mask: number of the first word of the masks in theirs.
            count: how many bits; an element that they do not fill has shares of 0 in the rest.
            kept: the word that has the bits set that are opened.
            width: bytes of a coefficient.
            place: address of the encoding; a word after its end is overwritten.
        """


class BitTiles(Protocol):
    """Adds up shares of weighted bits."""

    def add(
        self, bit: int, count: int, weight: int, v: np.uint64, out: np.uint64
    ) -> tuple[int, int]:
        """Add shares of 2^weight b to elements.

        Args:
            bit: number of the first x in its streams.
            count: how many bits.
            weight: i.
            v: address of the encoded values; a word after their end is read.
            out: address of the elements.

        Returns:
            All values joined by "or", their low and high 64 bits.
        """


def vector_tiles(x: StreamSums, masks: StreamSums, at: int, ring: Ring) -> VectorTiles:
    """Prepare the share vectors of operator `at` from the sums for x and for the masks."""
    if isinstance(x, FusedQuartet) and isinstance(masks, FusedQuartet):
        return _EncipheredVectors(x, masks, at, ring)
    if isinstance(x, LibraryQuartet) and isinstance(masks, LibraryQuartet):
        return _StreamedVectors(x, masks, at, ring)
    return _SummedVectors(x, masks, at, ring)


def bit_tiles(x: StreamSums, ring: Ring) -> BitTiles:
    """Prepare shares of bits from the sums for x."""
    if isinstance(x, FusedQuartet):
        return _EncipheredBits(x, ring)
    if isinstance(x, LibraryQuartet):
        return _StreamedBits(x, ring)
    return _SummedBits(x, ring)


class _SummedVectors:
    def __init__(self, x: StreamSums, masks: StreamSums, at: int, ring: Ring) -> None:
        from mpc_core.kernels.bits import vector_writer  # noqa: PLC0415 compiles when imported

        self._x, self._masks, self._turns, self._degree = x, masks, at - 1, ring.degree
        self._write = vector_writer(ring.degree, ring.bits)
        elements = _tile_words(ring) // ring.degree
        shape = ring.shape(elements * ring.degree)
        self._shares, self._mask_shares = np.empty(shape, np.uint64), np.empty(shape, np.uint64)
        self._addresses = address_of(self._shares), address_of(self._mask_shares)

    def write(  # noqa: PLR0917
        self, bit: int, mask: int, count: int, kept: WordArray, width: int, place: np.uint64
    ) -> None:
        """Write the encoding of masked shares."""
        degree, kept_at = self._degree, address_of(kept)
        for start in range(0, count, len(self._shares)):
            size = min(count - start, len(self._shares))
            elements = packed_count(size, degree)
            self._x.fill(self._shares[:size], bit + start)
            self._shares[size : elements * degree] = 0
            self._masks.fill(self._mask_shares[: elements * degree], mask + start)
            target = place + np.uint64(start * width)
            self._write(*self._addresses, elements, self._turns, kept_at, np.uint64(width), target)


class _EncipheredVectors:
    def __init__(self, x: FusedQuartet, masks: FusedQuartet, at: int, ring: Ring) -> None:
        from mpc_core.kernels.quartet_fused import vector_encipherer  # noqa: PLC0415

        self._x, self._masks, self._turns = x, masks, at - 1
        self._write = vector_encipherer(ring.bits)

    def write(  # noqa: PLR0917
        self, bit: int, mask: int, count: int, kept: WordArray, width: int, place: np.uint64
    ) -> None:
        """Write the encoding of masked shares."""
        keys, mask_keys, kept_at = self._x.keys, self._masks.keys, address_of(kept)
        numbers = bit, mask, count, self._turns
        self._write(keys, mask_keys, *numbers, kept_at, np.uint64(width), place)


class _StreamedVectors:
    def __init__(self, x: LibraryQuartet, masks: LibraryQuartet, at: int, ring: Ring) -> None:
        from mpc_core.kernels.quartet_tiles import vector_summer  # noqa: PLC0415

        self._x, self._masks, self._turns, self._degree = x, masks, at - 1, ring.degree
        self._write = vector_summer(ring.bits)

    def write(  # noqa: PLR0917
        self, bit: int, mask: int, count: int, kept: WordArray, width: int, place: np.uint64
    ) -> None:
        """Write the encoding of masked shares."""
        most, kept_at = self._x.most, address_of(kept)
        for start in range(0, count, most):
            size = min(count - start, most)
            places = self._x.make(bit + start, size)
            mask_words = packed_count(size, self._degree) * self._degree
            mask_places = self._masks.make(mask + start, mask_words)
            encoding = kept_at, np.uint64(width), place + np.uint64(start * width)
            self._write(places, mask_places, size, self._turns, *encoding)


class _SummedBits:
    def __init__(self, x: StreamSums, ring: Ring) -> None:
        from mpc_core.kernels.openings import bit_adder  # noqa: PLC0415 compiles when imported

        self._x, self._ring = x, ring
        self._add = bit_adder(ring.degree, ring.bits)
        self._shares = np.empty(ring.shape(_tile_words(ring)), np.uint64)
        self._shares_at = address_of(self._shares)

    def add(
        self, bit: int, count: int, weight: int, v: np.uint64, out: np.uint64
    ) -> tuple[int, int]:
        """Add shares of 2^weight b to elements."""
        width, size = _width(weight, self._ring), self._shares.strides[0]
        seen = np.zeros(2, np.uint64)
        for start in range(0, count, len(self._shares)):
            part = min(count - start, len(self._shares))
            self._x.fill(self._shares[:part], bit + start)
            values, target = v + np.uint64(start * width), out + np.uint64(start * size)
            factors = np.uint64(weight), values, np.uint64(width)
            self._add(self._shares_at, part, *factors, target, seen)
        return _halves(seen)


class _StreamedBits:
    def __init__(self, x: LibraryQuartet, ring: Ring) -> None:
        from mpc_core.kernels.quartet_tiles import bit_summer  # noqa: PLC0415

        self._x, self._ring = x, ring
        self._add = bit_summer(ring.bits)

    def add(
        self, bit: int, count: int, weight: int, v: np.uint64, out: np.uint64
    ) -> tuple[int, int]:
        """Add shares of 2^weight b to elements."""
        width, size = _width(weight, self._ring), self._ring.degree * self._ring.bits // 8
        seen = np.zeros(2, np.uint64)
        for start in range(0, count, self._x.most):
            part = min(count - start, self._x.most)
            places = self._x.make(bit + start, part)
            factors = np.uint64(weight), v + np.uint64(start * width), np.uint64(width)
            self._add(places, part, *factors, out + np.uint64(start * size), seen)
        return _halves(seen)


class _EncipheredBits:
    def __init__(self, x: FusedQuartet, ring: Ring) -> None:
        from mpc_core.kernels.quartet_fused import bit_encipherer  # noqa: PLC0415

        self._x, self._ring = x, ring
        self._add = bit_encipherer(ring.bits)

    def add(
        self, bit: int, count: int, weight: int, v: np.uint64, out: np.uint64
    ) -> tuple[int, int]:
        """Add shares of 2^weight b to elements."""
        seen, width = np.zeros(2, np.uint64), _width(weight, self._ring)
        factors = np.uint64(weight), v, np.uint64(width)
        self._add(self._x.keys, bit, count, *factors, out, seen)
        return _halves(seen)


def _tile_words(ring: Ring) -> int:
    return TILE_BLOCKS * 128 // ring.bits


def _width(weight: int, ring: Ring) -> int:
    """Return the bytes of a coefficient."""
    return -(-(ring.bits - weight) // 8)


def _halves(seen: NDArray[np.uint64]) -> tuple[int, int]:
    low, high = seen.tolist()
    return low, high
