"""Kernels of `mpc_core.sharing.challenge`: sums of the elements that a public bit stream selects.

Half a byte of the challenge says which of four neighbouring elements enter one sum. The 16 subset
sums of the four are tabulated once and serve every row of the challenge, so an element costs about
rows / 4 additions of one vector each and no multiplication. Sums of a tile of elements stay in a
register; they are spread into 64-bit accumulators once in a tile.

For K = 64 the coefficients of an element are four 64-bit lanes that wrap. For K = 128 each is five
limbs of 26 bits in 32-bit lanes, with room for the 64 elements of a tile.

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
LIMB_BITS, LIMBS = 26, 5
ALIGNMENT = np.uint64(64)
LIMB_BYTES, LIMB_SHIFTS = (0, 3, 6, 9, 13), (0, 2, 4, 6, 0)
"""Byte that a limb starts in, and how many bits after that byte's lowest."""

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

    @intrinsic
    def select(typing_context, tables, stream, rows, sums):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            tables, stream, rows, sums = arguments
            with cgutils.for_range(builder, rows) as loop:
                totals = [ir.Constant(kind, None) for kind in vectors]  # type: ignore[no-untyped-call]
                for chunk in range(CHUNKS):
                    place = builder.add(loop.index, builder.mul(rows, _number(chunk)))
                    byte = builder.load(_at(builder, stream, place), typ=BYTE)
                    byte = builder.zext(byte, WORD)
                    halves = builder.and_(byte, _number(15)), builder.lshr(byte, _number(4))
                    table = tables
                    for v, kind in enumerate(vectors):
                        size = _size(kind)
                        for half, subset in enumerate(halves):
                            start = _number((2 * chunk + half) * SUBSETS * size)
                            offset = builder.mul(subset, _number(size))
                            place = _at(builder, builder.add(table, start), offset)
                            entry = builder.load(place, typ=kind, align=8)
                            totals[v] = builder.add(totals[v], entry)
                        table = builder.add(table, _number(NIBBLES * SUBSETS * size))
                row = _number(sum(8 * kind.count for kind in vectors))
                target = builder.add(sums, builder.mul(loop.index, row))
                spread = [wide for total in totals for wide in _spread(builder, total)]
                for total in spread:
                    place = builder.inttoptr(target, POINTER)
                    before = builder.load(place, typ=total.type, align=8)
                    builder.store(builder.add(before, total), place, align=8)
                    target = builder.add(target, _number(_size(total.type)))
            return context.get_dummy_value()

        return types.void(*[types.uint64] * 4), generate

    return select


def _spread(builder: Any, total: Any) -> list[Any]:
    """Return sums as vectors of 64-bit lanes: even lanes, odd lanes."""
    if total.type.element is WORD:
        return [total]
    wide = ir.VectorType(WORD, total.type.count // 2)  # type: ignore[no-untyped-call]
    pairs = builder.bitcast(total, wide)
    low = ir.Constant(wide, [0xFFFFFFFF] * wide.count)  # type: ignore[no-untyped-call]
    shift = ir.Constant(wide, [32] * wide.count)  # type: ignore[no-untyped-call]
    return [builder.and_(pairs, low), builder.lshr(pairs, shift)]


_tabulate_narrow, _select_narrow = _tabulating(NARROW), _selecting(NARROW)
_tabulate_wide, _select_wide = _tabulating(WIDE), _selecting(WIDE)
_tabulate_wider, _select_wider = _tabulating(WIDER), _selecting(WIDER)


@intrinsic
def _cut(typing_context, value, target):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
    """Write the five limbs of a value to the five 32-bit lanes at `target`."""
    bytes_type, four = ir.VectorType(BYTE, 16), ir.VectorType(HALF, 4)  # type: ignore[no-untyped-call]

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        data = builder.bitcast(arguments[0], bytes_type)
        order = [start + k for start in LIMB_BYTES[:4] for k in range(4)]
        places = ir.Constant(ir.VectorType(HALF, 16), order)  # type: ignore[no-untyped-call]
        lanes = builder.bitcast(builder.shuffle_vector(data, data, places), four)
        lanes = builder.lshr(lanes, ir.Constant(four, list(LIMB_SHIFTS[:4])))  # type: ignore[no-untyped-call]
        mask = ir.Constant(four, [(1 << LIMB_BITS) - 1] * 4)  # type: ignore[no-untyped-call]
        target = arguments[1]
        builder.store(builder.and_(lanes, mask), builder.inttoptr(target, POINTER), align=4)
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
    sums_at, place = uint64(sums.ctypes.data), uint64(source)
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
            _select_wide(tables_at, stream_at, rows, sums_at)
        else:
            _tabulate_wider(laid_at, tables_at)
            _select_wider(tables_at, stream_at, rows, sums_at)
        place += count * degree * width
        stream_at += uint64(CHUNKS) * rows
        left -= count
        start = uint64(0)
    keep(laid)
    keep(tables)
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
    order: list[int] = []
    for vector in WIDE if words == WIDE[0].count else WIDER:
        half, start = vector.count // 2, len(order)
        order += [start + lane % 2 * half + lane // 2 for lane in range(vector.count)]
    return np.array(order[: LIMBS * degree]).reshape(degree, LIMBS)
