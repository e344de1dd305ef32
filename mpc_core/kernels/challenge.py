"""Kernels of `mpc_core.sharing.challenge`: sums of the elements that a public bit stream selects.

Half a byte of the challenge says which of four neighbouring elements enter one sum. The 16 subset
sums of the four are tabulated once and serve every row of the challenge, so an element costs about
rows / 4 additions of one vector each and no multiplication.

For K = 64 the coefficients of an element are four 64-bit lanes that wrap. For K = 128 each is four
limbs of 24 bits and a last one of 32, in 32-bit lanes: the last may wrap, since it wraps at 2^128,
and the others have room for the 256 elements of four tiles. Then they are added to 64-bit lanes.

Security: addresses depend on the challenge, which is public, and on nothing else. Coefficients meet
additions and masks only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numpy import uint64

from mpc_core.kernels import u128
from mpc_core.kernels.memory import keep, prefetch
from mpc_core.kernels.u128 import intrinsic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["PADDING", "TILE", "accumulators", "add_selected", "settle"]

PADDING = 16
"""Bytes that the kernel may read after its input."""

CHUNK = 8
"""Elements that one byte of the stream selects from."""

CHUNKS = 8
TILE = CHUNK * CHUNKS
NIBBLES, SUBSETS = 2 * CHUNKS, 16
LIMB_BITS, LIMBS = 24, 5
TILES_NEAR = 4
"""Tiles whose sums fit into 32-bit lanes."""
ALIGNMENT = np.uint64(64)

BYTE, HALF, WORD, DOUBLE = (ir.IntType(bits) for bits in (8, 32, 64, 128))  # type: ignore[no-untyped-call]
POINTER = ir.PointerType()  # type: ignore[no-untyped-call]

NARROW = (ir.VectorType(WORD, 4),)  # type: ignore[no-untyped-call]
WIDE = (ir.VectorType(HALF, 16),)  # type: ignore[no-untyped-call]
WIDER = (ir.VectorType(HALF, 16), ir.VectorType(HALF, 8))  # type: ignore[no-untyped-call]
"""The vectors of an element for K = 64, for K = 128 and d <= 3, and for K = 128 and d = 4."""


def _number(value: int) -> Any:
    return ir.Constant(WORD, value)  # type: ignore[no-untyped-call]


def _size(vector: Any) -> int:
    return int(vector.count * vector.element.width // 8)


def _at(builder: Any, address: Any, offset: Any) -> Any:
    return builder.inttoptr(builder.add(address, offset), POINTER)


def _tabulating(vectors: Sequence[Any]) -> Any:
    """Return the function that writes the subset sums of four elements at a time, for a tile."""
    element = sum(map(_size, vectors))

    @intrinsic
    def tabulate(typing_context, elements, tables):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            elements, tables = arguments
            with cgutils.for_range(builder, _number(NIBBLES)) as loop:
                source = builder.add(elements, builder.mul(loop.index, _number(4 * element)))
                table, offset = tables, 0
                for kind in vectors:
                    size = _size(kind)
                    start = builder.mul(loop.index, _number(SUBSETS * size))
                    sums = [ir.Constant(kind, None)]  # type: ignore[no-untyped-call]
                    for k in range(4):
                        place = _at(builder, source, _number(k * element + offset))
                        one = builder.load(place, typ=kind, align=8)
                        sums += [builder.add(one, before) for before in sums]
                    for subset, total in enumerate(sums):
                        place = builder.add(start, _number(subset * size))
                        builder.store(total, _at(builder, table, place), align=8)
                    table = builder.add(table, _number(NIBBLES * SUBSETS * size))
                    offset += size
            return context.get_dummy_value()

        return types.void(types.uint64, types.uint64), generate

    return tabulate


def _selecting(vectors: Sequence[Any]) -> Any:
    """Return the function that adds what the stream selects from a tile to the sums."""
    offsets = [sum(map(_size, vectors[:v])) for v in range(len(vectors))]
    row = sum(map(_size, vectors))

    @intrinsic
    def select(typing_context, tables, stream, rows, sums):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            tables, stream, rows, sums = arguments
            with cgutils.for_range(builder, rows) as loop:
                target = builder.add(sums, builder.mul(loop.index, _number(row)))
                places = [_at(builder, target, _number(at)) for at in offsets]
                totals = [
                    builder.load(place, typ=kind, align=8)
                    for place, kind in zip(places, vectors, strict=True)
                ]
                for chunk in range(CHUNKS):
                    place = builder.add(loop.index, builder.mul(rows, _number(chunk)))
                    byte = builder.load(_at(builder, stream, place), typ=BYTE)
                    byte = builder.zext(byte, WORD)
                    table = tables
                    for v, kind in enumerate(vectors):
                        size = _size(kind)
                        for half, mask in enumerate((0x0F, 0xF0)):
                            start = _number((2 * chunk + half) * SUBSETS * size)
                            subset = builder.and_(byte, _number(mask))
                            offset = builder.mul(subset, _number(size >> (4 * half)))
                            place = _at(builder, builder.add(table, start), offset)
                            entry = builder.load(place, typ=kind, align=8)
                            totals[v] = builder.add(totals[v], entry)
                        table = builder.add(table, _number(NIBBLES * SUBSETS * size))
                for place, total in zip(places, totals, strict=True):
                    builder.store(total, place, align=8)
            return context.get_dummy_value()

        return types.void(*[types.uint64] * 4), generate

    return select


_tabulate_narrow, _select_narrow = _tabulating(NARROW), _selecting(NARROW)
_tabulate_wide, _select_wide = _tabulating(WIDE), _selecting(WIDE)
_tabulate_wider, _select_wider = _tabulating(WIDER), _selecting(WIDER)


@intrinsic
def _cut(typing_context, value, target):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
    """Write the five limbs of a value to the five 32-bit lanes at `target`."""
    bytes_type, four = ir.VectorType(BYTE, 16), ir.VectorType(HALF, 4)  # type: ignore[no-untyped-call]

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        data = builder.bitcast(arguments[0], bytes_type)
        nothing = ir.Constant(bytes_type, None)  # type: ignore[no-untyped-call]
        order = [place for limb in range(4) for place in (*range(3 * limb, 3 * limb + 3), 16)]
        places = ir.Constant(ir.VectorType(HALF, 16), order)  # type: ignore[no-untyped-call]
        lanes = builder.bitcast(builder.shuffle_vector(data, nothing, places), four)
        target = arguments[1]
        builder.store(lanes, builder.inttoptr(target, POINTER), align=4)
        last = builder.lshr(arguments[0], ir.Constant(DOUBLE, 4 * LIMB_BITS))  # type: ignore[no-untyped-call]
        place = _at(builder, target, _number(16))
        builder.store(builder.trunc(last, HALF), place, align=4)
        return context.get_dummy_value()

    return types.void(u128.u128, types.uint64), generate


@njit(nogil=True)
def _lay_out(source, elements, shape, kept, refused, target):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    """Write encoded elements as lanes; return the bits that no canonical coefficient has."""
    degree, bits, width, stride = shape
    found = uint64(0)
    for _ in range(elements):
        prefetch(source)
        lane = target
        for _ in range(degree):
            value = u128.load(source)
            low, high = u128.low(value), u128.high(value)
            found |= (low & u128.low(refused)) | (high & u128.high(refused))
            value = u128.from_words(low & u128.low(kept), high & u128.high(kept))
            if bits > uint64(64):
                _cut(value, lane)
                lane += uint64(4 * LIMBS)
            else:
                u128.store_low(lane, value)
                lane += uint64(8)
            source += width
        target += stride
    return found


@njit("void(u4[:,::1], u8[:,::1])", nogil=True, cache=True)
def _move_on(near, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Add sums in 32-bit lanes to those in 64-bit lanes, and set them to 0."""
    for row in range(near.shape[0]):
        for lane in range(near.shape[1]):
            sums[row, lane] += uint64(near[row, lane])
            near[row, lane] = np.uint32(0)


@njit("u8(u8, u8, u8, u8, u8, u8, u1[:,::1], u8[:,::1])", nogil=True, cache=True)
def add_selected(  # noqa: PLR0917 numba takes arguments by position
    source: int,
    elements: int,
    skip: int,
    degree: int,
    ring_bits: int,
    bits: int,
    stream: NDArray[np.uint8],
    sums: NDArray[np.uint64],
) -> np.uint64:
    """Add to every sum the elements that its row of the stream selects.

    Args:
        source: address of encoded elements, which may be read up to `PADDING` bytes after its end.
        elements: number of elements.
        skip: elements of the stream's first chunk that come before them, 0 to 7.
        degree: d.
        ring_bits: K.
        bits: bits of a coefficient that count; it has ceil(bits / 8) bytes.
        stream: challenge bytes, shape (chunks, rows); enough chunks for whole tiles.
        sums: accumulators, shape (rows, `accumulators`).

    Returns:
        0 if no coefficient has more bits than that.
    """
    width = (bits + uint64(7)) >> uint64(3)
    kept = u128.ones(width << uint64(3))
    refused = kept - u128.ones(bits)
    rows, stride = uint64(stream.shape[1]), uint64(4 * sums.shape[1])
    if ring_bits == uint64(64):
        stride = uint64(8 * sums.shape[1])
    shape = degree, ring_bits, width, stride
    laid = np.zeros(uint64(TILE) * stride, np.uint8)
    tables = np.empty(uint64(TILE // 4 * SUBSETS) * stride + ALIGNMENT, np.uint8)
    laid_at, stream_at = uint64(laid.ctypes.data), uint64(stream.ctypes.data)
    tables_at = (uint64(tables.ctypes.data) + ALIGNMENT) & ~(ALIGNMENT - uint64(1))
    near = np.zeros(sums.shape if ring_bits > uint64(64) else (0, 0), np.uint32)
    sums_at, near_at = uint64(sums.ctypes.data), uint64(near.ctypes.data)
    place, tiles = uint64(source), 0
    found, start, left = uint64(0), uint64(skip), uint64(elements)
    while left > uint64(0):
        count = min(uint64(TILE) - start, left)
        if count < uint64(TILE):
            laid[:] = np.uint8(0)
        target = laid_at + start * stride
        found |= _lay_out(place, count, shape, kept, refused, target)
        if ring_bits == uint64(64):
            _tabulate_narrow(laid_at, tables_at)
            _select_narrow(tables_at, stream_at, rows, sums_at)
        elif degree < uint64(4):
            _tabulate_wide(laid_at, tables_at)
            _select_wide(tables_at, stream_at, rows, near_at)
        else:
            _tabulate_wider(laid_at, tables_at)
            _select_wider(tables_at, stream_at, rows, near_at)
        tiles += 1
        if tiles % TILES_NEAR == 0:
            _move_on(near, sums)
        place += count * degree * width
        stream_at += uint64(CHUNKS) * rows
        left -= count
        start = uint64(0)
    _move_on(near, sums)
    keep(laid)
    keep(tables)
    keep(near)
    return found


@njit("void(u8[:,::1], i8[:,::1], u8, u8[:,:,::1])", nogil=True, cache=True)
def _settle(sums, places, weight, totals):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for row in range(totals.shape[0]):
        for c in range(totals.shape[1]):
            value = u128.widen(uint64(0))
            for k in range(places.shape[1]):
                limb = u128.widen(sums[row, places[c, k]])
                value = value + (limb << uint64(LIMB_BITS * k))
            total = uint64(totals[row, c].ctypes.data)
            u128.store(total, u128.load(total) + (value << weight))
    sums[:] = uint64(0)


def settle(sums: NDArray[np.uint64], weight: int, totals: NDArray[np.uint64]) -> None:
    """Add 2^weight times the accumulated sums to `totals`, (rows, d, 2), and set them to 0.

    Totals are right mod 2^K.
    """
    degree = totals.shape[1]
    _settle(sums, _places(sums.shape[1], degree), weight, totals)


def accumulators(bits: int, degree: int) -> int:
    """Return the 64-bit words of a sum, over GR(2^bits, degree), while it is accumulated."""
    return sum(vector.count for vector in _vectors(bits, degree))


def _vectors(bits: int, degree: int) -> Sequence[Any]:
    if bits == WORD.width:
        return NARROW
    return WIDE if degree * LIMBS <= WIDE[0].count else WIDER


def _places(words: int, degree: int) -> NDArray[np.int64]:
    """Return which accumulators hold the limbs of a coefficient, shape (d, limbs)."""
    if words == NARROW[0].count:
        return np.arange(degree)[:, np.newaxis]
    return np.arange(LIMBS * degree).reshape(degree, LIMBS)
