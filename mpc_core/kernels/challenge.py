"""Numba twin of the sums in `sharing.challenge`: subset sums of four elements at a time.

Half a byte of the challenge says which of four neighbouring elements enter one sum. The 16 subset
sums of the four are tabulated once and serve every row of the challenge, so an element costs about
rows / 4 additions and no multiplication. Addresses depend on the public challenge only.

Elements are laid out as rows of 64-bit words that are added without a carry: for K = 64 their
coefficients, zeros up to four; for K = 128 the four 32-bit limbs of each coefficient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mpc_core.ring.galois import Ring, RingArray

__all__ = ["subset_sums"]

NATIVE_BITS = 64
LANES = 4
LIMB_BITS, LIMB_MASK = np.uint64(32), np.uint64(0xFFFFFFFF)


@intrinsic
def _add_lanes(typing_context, out, at, left, left_at, right, right_at):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001, PLR0917
    """Write left + right to `out`, four words from the given places on, in one vector.

    The compiler does not do this by itself, since it cannot know that the arrays are different.
    """
    signature = types.void(out, at, left, left_at, right, right_at)
    word = ir.IntType(64)  # type: ignore[no-untyped-call]
    lanes = ir.VectorType(word, LANES)  # type: ignore[no-untyped-call]
    pointer = lanes.as_pointer()  # type: ignore[no-untyped-call]

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        places = []
        for k in (0, 2, 4):
            array = context.make_array(signature.args[k])(context, builder, arguments[k])
            place = builder.gep(array.data, [arguments[k + 1]], source_etype=word)
            places.append(builder.bitcast(place, pointer))
        a, b = (builder.load(place, typ=lanes, align=8) for place in places[1:])
        builder.store(builder.add(a, b), places[0], align=8)
        return context.get_dummy_value()

    return signature, generate


@njit("void(u8[::1], u1[:,::1], u8[::1], u8)", nogil=True, cache=True)
def _add_selected(words, stream, sums, width):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    chunks, rows = np.uint64(stream.shape[0]), np.uint64(stream.shape[1])
    half, low = np.uint64(4), np.uint64(15)
    lower = np.zeros(np.uint64(16) * width, np.uint64)
    upper = np.zeros(np.uint64(16) * width, np.uint64)
    for chunk in range(chunks):
        for bit in range(half):
            first = (chunk * np.uint64(8) + bit) * width
            size = width << bit
            for subset in range(np.uint64(0), size, half):
                at = first + subset % width
                _add_lanes(lower, size + subset, lower, subset, words, at)  # type: ignore[call-arg]
                _add_lanes(upper, size + subset, upper, subset, words, at + half * width)
        for row in range(rows):
            byte = np.uint64(stream[chunk, row])
            left, right = (byte & low) * width, (byte >> half) * width
            for lane in range(np.uint64(0), width, half):
                at = row * width + lane
                _add_lanes(sums, at, sums, at, lower, left + lane)  # type: ignore[call-arg]
                _add_lanes(sums, at, sums, at, upper, right + lane)


@njit("void(u8[:,::1], u1[::1], u8[:,::1])", nogil=True, cache=True)
def _lay_out_64(elements, weights, words):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for at in range(elements.shape[0]):
        for c in range(elements.shape[1]):
            words[at, c] = elements[at, c] << np.uint64(weights[at])


@njit("void(u8[:,:,::1], u1[::1], u8[:,::1])", nogil=True, cache=True)
def _lay_out_128(elements, weights, words):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    word_bits = np.uint64(64)
    for at in range(elements.shape[0]):
        weight = np.uint64(weights[at])
        for c in range(elements.shape[1]):
            low, high = elements[at, c, 0], elements[at, c, 1]
            if weight >= word_bits:
                high = low << (weight - word_bits)
                low = np.uint64(0)
            elif weight > np.uint64(0):
                high = (high << weight) | (low >> (word_bits - weight))
                low <<= weight
            words[at, 4 * c], words[at, 4 * c + 1] = low & LIMB_MASK, low >> LIMB_BITS
            words[at, 4 * c + 2], words[at, 4 * c + 3] = high & LIMB_MASK, high >> LIMB_BITS


def subset_sums(
    elements: RingArray, weights: NDArray[np.uint8], stream: NDArray[np.uint8], ring: Ring
) -> RingArray:
    """Add up the elements that each row of the challenge selects, as `challenge.subset_sums`."""
    chunks, rows = stream.shape
    narrow = ring.bits == NATIVE_BITS
    width = LANES if narrow else LANES * ring.degree
    words = np.zeros((8 * chunks, width), np.uint64)
    lay_out = _lay_out_64 if narrow else _lay_out_128
    lay_out(np.require(elements, requirements=["C", "W"]), weights, words)
    sums = np.zeros(rows * width, np.uint64)
    _add_selected(words.reshape(-1), stream, sums, width)
    if narrow:
        return np.ascontiguousarray(sums.reshape(rows, width)[:, : ring.degree])
    return _carried(sums.reshape(rows, ring.degree, LANES))


def _carried(limbs: NDArray[np.uint64]) -> RingArray:
    """Return the words of 128 bits that sums of 32-bit limbs stand for."""
    carry = np.zeros(limbs.shape[:2], np.uint64)
    words = np.zeros((*limbs.shape[:2], 2), np.uint64)
    for at in range(LANES):
        total = limbs[..., at] + carry
        words[..., at // 2] |= (total & LIMB_MASK) << (LIMB_BITS * np.uint64(at % 2))
        carry = total >> LIMB_BITS
    return words
