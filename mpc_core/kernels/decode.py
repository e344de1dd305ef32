"""The kernel of `mpc_core.sharing.interpolation`: encoded vectors times a constant matrix.

Interpolation multiplies by a matrix of small integers over one odd denominator, the same for every
element. Coefficients are cut into 32-bit limbs; limbs times entries add up in 64-bit lanes without
a carry. A tile of elements at a time is unpacked, multiplied and settled while the first-level
cache holds it, so an encoding is read once, a result is written once, and nothing else is stored.

Limbs count as signed numbers with the sign bit flipped, because the product of signed halves is the
one that every CPU has for vectors. What the flips amount to is a constant; sums start from it.

Security: no branch and no address depends on a coefficient; input that is not canonical is noticed
by a flag at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numpy import int64, uint64

from mpc_core.kernels import u128
from mpc_core.kernels.memory import ask_for, keep
from mpc_core.kernels.u128 import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["OFF_POLYNOMIAL", "PADDING", "SPLIT_BITS", "TOO_WIDE", "combine"]

TOO_WIDE, OFF_POLYNOMIAL = 1, 2

PADDING = 16
"""Bytes that the kernel may read after its input and write after its output."""

SPLIT_BITS = 24
"""Entries whose sums would not fit come in two parts, low + 2^SPLIT_BITS high."""

TILE_LIMBS = 256
LANES = 8
SIGN = 1 << 31
LIMB_MASK = np.uint64(0xFFFFFFFF)

HALF, WORD = ir.IntType(32), ir.IntType(64)  # type: ignore[no-untyped-call]
LIMBS, SUMS = (ir.VectorType(element, LANES) for element in (HALF, WORD))  # type: ignore[no-untyped-call]
POINTER = ir.PointerType()  # type: ignore[no-untyped-call]


def _number(value: int) -> ir.Constant:
    return ir.Constant(WORD, value)  # type: ignore[no-untyped-call]


def _unpacking(words: int) -> Callable[..., np.uint64]:
    """Return the function that unpacks coefficients of `words` 64-bit words into limbs."""
    kind = WORD if words == 1 else ir.VectorType(WORD, words)  # type: ignore[no-untyped-call]
    flips = [SIGN << 32 | SIGN] * words
    flip = ir.Constant(kind, flips[0] if words == 1 else flips)  # type: ignore[no-untyped-call]

    @intrinsic
    def unpack(typing_context, source, step, count, target, kept, refused):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001, PLR0917
        """Unpack the coefficients at source, source + step, ..; return their `refused` bits."""

        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            source, step, count = arguments[:3]
            target = builder.inttoptr(arguments[3], POINTER)
            masks = [builder.trunc(mask, ir.IntType(64 * words)) for mask in arguments[4:]]  # type: ignore[no-untyped-call]
            kept, refused = (builder.bitcast(mask, kind) for mask in masks)
            found = cgutils.alloca_once_value(builder, ir.Constant(kind, None))  # type: ignore[no-untyped-call]
            with cgutils.for_range(builder, count) as loop:
                place = builder.add(source, builder.mul(loop.index, step))
                ask_for(builder, place)
                data = builder.load(builder.inttoptr(place, POINTER), typ=kind, align=1)
                limbs = builder.xor(builder.and_(data, kept), flip)
                builder.store(limbs, builder.gep(target, [loop.index], source_etype=kind), align=4)
                bad = builder.and_(data, refused)
                builder.store(builder.or_(builder.load(found, typ=kind), bad), found)
            total = builder.load(found, typ=kind)
            if words == 1:
                return total
            return builder.or_(*(builder.extract_element(total, _number(k)) for k in range(words)))

        return types.uint64(*[types.uint64] * 4, u128.u128, u128.u128), generate

    return unpack  # type: ignore[no-any-return]


def _summing(rows: int) -> Callable[..., None]:
    """Return the function that forms `rows` sums over all inputs for a tile of limbs."""

    @intrinsic
    def sum_products(typing_context, limbs, factors, starts, inputs, sums):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001, PLR0917
        """Set sums[r, k] to starts[r] + sum_m factors[m, r] limbs[m, k]."""

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            limbs, factors, starts = (builder.inttoptr(a, POINTER) for a in arguments[:3])
            inputs, sums = arguments[3], builder.inttoptr(arguments[4], POINTER)
            totals = [cgutils.alloca_once(builder, SUMS) for _ in range(rows)]  # type: ignore[no-untyped-call]
            with cgutils.for_range(builder, _number(TILE_LIMBS // LANES)) as strip:
                first = builder.mul(strip.index, _number(LANES))
                for r, total in enumerate(totals):
                    builder.store(_entry(builder, starts, _number(r)), total)
                with cgutils.for_range(builder, inputs) as loop:
                    at = builder.add(builder.mul(loop.index, _number(TILE_LIMBS)), first)
                    place = builder.gep(limbs, [at], source_etype=HALF)
                    limb = builder.sext(builder.load(place, typ=LIMBS, align=4), SUMS)
                    row = builder.mul(loop.index, _number(rows))
                    for r, total in enumerate(totals):
                        factor = _narrow(
                            builder, _entry(builder, factors, builder.add(row, _number(r)))
                        )
                        product = builder.mul(limb, factor)
                        builder.store(builder.add(builder.load(total, typ=SUMS), product), total)
                for r, total in enumerate(totals):
                    at = builder.add(first, _number(r * TILE_LIMBS))
                    place = builder.gep(sums, [at], source_etype=WORD)
                    builder.store(builder.load(total, typ=SUMS), place, align=8)
            return context.get_dummy_value()

        return types.void(*[types.uint64] * 5), generate

    return sum_products  # type: ignore[no-any-return]


def _entry(builder: Any, array: Any, index: Any) -> Any:
    """Load one word into all lanes."""
    word = builder.load(builder.gep(array, [index], source_etype=WORD), typ=WORD)
    empty = ir.Constant(SUMS, ir.Undefined)  # type: ignore[no-untyped-call]
    one = builder.insert_element(empty, word, ir.Constant(HALF, 0))  # type: ignore[no-untyped-call]
    return builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(HALF, LANES), None))  # type: ignore[no-untyped-call]


def _narrow(builder: Any, lanes: Any) -> Any:
    """Let the compiler know that lanes hold signed numbers of 32 bits; this costs nothing."""
    shift = ir.Constant(SUMS, [32] * LANES)  # type: ignore[no-untyped-call]
    return builder.ashr(builder.shl(lanes, shift), shift)


_unpack_word, _unpack_pair = _unpacking(1), _unpacking(2)
_sum_three, _sum_four = _summing(3), _summing(4)


@njit(nogil=True)
def _unpack(source, place, elements, shape, kept, refused, limbs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    """Unpack one vector's elements of a tile, coefficient by coefficient."""
    degree, words, width = shape
    step, found = degree * width, uint64(0)
    for c in range(degree):
        first = source + place * step + c * width
        target = limbs + c * uint64(4 * TILE_LIMBS)
        if words == uint64(1):
            found |= _unpack_word(first, step, elements, target, kept, refused)
        else:
            found |= _unpack_pair(first, step, elements, target, kept, refused)
    return found


@njit(nogil=True)
def _settled(at, words):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return the number whose limbs have the sums at the address `at`."""
    pair = u128.load(at)
    first = u128.low(pair)
    second = int64(u128.high(pair)) + (int64(first) >> int64(32))
    low = (uint64(second) << uint64(32)) | (first & LIMB_MASK)
    high = uint64(0)
    if words > uint64(1):
        pair = u128.load(at + uint64(16))
        high = uint64(second >> int64(32)) + u128.low(pair) + (u128.high(pair) << uint64(32))
    return u128.from_words(low, high)


@njit(nogil=True)
def _total(at, parts, degree, words):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return a row of the matrix times an element, from its parts."""
    total = _settled(at, words)
    if parts > uint64(1):
        high = _settled(at + degree * uint64(8 * TILE_LIMBS), words)
        total = total + (high << uint64(SPLIT_BITS))
    return total


@njit(nogil=True)
def _write(sums, elements, shape, parts, inverse, mask, target):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    """Encode the elements of a tile at the address `target`."""
    degree, words, width = shape
    low, high = u128.low(mask), u128.high(mask)
    for e in range(elements):
        for c in range(degree):
            at = sums + c * uint64(8 * TILE_LIMBS) + e * words * uint64(16)
            value = _total(at, parts, degree, words) * inverse
            value = u128.from_words(u128.low(value) & low, u128.high(value) & high)
            u128.store(target, value)
            target += width


@njit(nogil=True)
def _nonzero(sums, elements, shape, parts, mask):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return bits that are all 0 only if all elements of a tile are 0."""
    degree, words, _ = shape
    low, high, found = u128.low(mask), u128.high(mask), uint64(0)
    for e in range(elements):
        for c in range(degree):
            at = sums + c * uint64(8 * TILE_LIMBS) + e * words * uint64(16)
            value = _total(at, parts, degree, words)
            found |= (u128.low(value) & low) | (u128.high(value) & high)
    return found


@njit(
    "u8(u8[::1], u8, u8, u8, u8, i8[:,:,:,::1], i8[:,:,::1], u8[::1], u1[::1])",
    nogil=True,
    cache=True,
)
def combine(  # noqa: PLR0917 numba takes arguments by position
    sources: NDArray[np.uint64],
    elements: int,
    degree: int,
    words: int,
    bits: int,
    factors: NDArray[np.int64],
    starts: NDArray[np.int64],
    inverse: NDArray[np.uint64],
    out: NDArray[np.uint8],
) -> np.uint64:
    """Multiply encoded vectors by a matrix; encode its first d rows, test the others for 0.

    Args:
        sources: addresses of the vectors; each may be read up to `PADDING` bytes after its end.
        elements: number of elements of each.
        degree: d, 3 or 4.
        words: 64-bit words of a coefficient, 1 or 2.
        bits: bits of a coefficient that count; it has ceil(bits / 8) bytes.
        factors: the matrix, shape (blocks of d rows, parts, vectors * d, d), each a column of one
            input coefficient; |entries| of a row of a part add up to less than 2^31.
        starts: 2^31 times the sums of `factors` over the inputs, shape (blocks, parts, d).
        inverse: what the rows that are written are multiplied by, shape (words,).
        out: receives the encoding, `PADDING` bytes longer than that.

    Returns:
        0, or the sum of `TOO_WIDE` if a coefficient has more bits than that and `OFF_POLYNOMIAL` if
        one of the further rows is not 0 for some element.
    """
    shape = degree, words, (bits + uint64(7)) >> uint64(3)
    blocks, parts = uint64(factors.shape[0]), uint64(factors.shape[1])
    mask, kept = u128.ones(bits), u128.ones(shape[2] << uint64(3))
    factor = u128.from_words(inverse[0], inverse[1] if words > uint64(1) else uint64(0))
    limbs = np.empty(uint64(sources.size) * degree * uint64(TILE_LIMBS), np.uint32)
    sums = np.empty(parts * degree * uint64(TILE_LIMBS), np.int64)
    limbs_at, sums_at = uint64(limbs.ctypes.data), uint64(sums.ctypes.data)
    source_bytes = degree * uint64(4 * TILE_LIMBS)
    tile = uint64(TILE_LIMBS // 2) // words
    wide = off = uint64(0)
    for place in range(uint64(0), elements, tile):
        count = min(tile, elements - place)
        for s in range(uint64(sources.size)):
            target = limbs_at + s * source_bytes
            wide |= _unpack(sources[s], place, count, shape, kept, kept - mask, target)
        for b in range(blocks):
            for p in range(parts):
                given = limbs_at, uint64(factors[b, p].ctypes.data)
                start = uint64(starts[b, p].ctypes.data)
                target = sums_at + p * degree * uint64(8 * TILE_LIMBS)
                inputs = uint64(sources.size) * degree
                if degree == uint64(3):
                    _sum_three(*given, start, inputs, target)
                else:
                    _sum_four(*given, start, inputs, target)
            if b == uint64(0):
                target = uint64(out.ctypes.data) + place * degree * shape[2]
                _write(sums_at, count, shape, parts, factor, mask, target)
            else:
                off |= _nonzero(sums_at, count, shape, parts, mask)
    keep(limbs)
    keep(sums)
    found = uint64(wide != uint64(0)) * uint64(TOO_WIDE)
    return found + uint64(off != uint64(0)) * uint64(OFF_POLYNOMIAL)
