"""Kernels that encipher the streams of `kernels.quartet` and use their sums at once.

Streams and shares are made in strips that stay in the first cache; only what is wanted in the end
is written to memory. The streams of a PRSS or of zero masks are given by an array of six addresses
of round keys, in the order of `quartet.sum_words`; 0 for one that the operator does not have.
"""

# The types of numba and LLVM are not those of Python.
# mypy: disable-error-code="arg-type, assignment, call-arg, no-untyped-call, var-annotated"

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numba import int64, njit, uint64, void
from numba.misc.special import literally

from mpc_core.kernels.aes import BLOCK_BYTES, expand
from mpc_core.kernels.bits import write_elements_3
from mpc_core.kernels.openings import STRIP, add_strip, strip_memory
from mpc_core.kernels.quartet import DEGREE, STREAMS, STRIP_WORDS, sum_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["bit_encipherer", "quartet_encipherer", "vector_encipherer"]

STRIP_BLOCKS = STRIP_WORDS
"""Blocks of a strip at most, those included that round their number up."""


@njit(nogil=True)
def _sum_strip(bits, keys, strips, word, count, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    """Encipher and sum `count` words from number `word` on.

    `strips` has a row for each stream, and one of zeros for those without a key. Memory is passed
    on as an array, not as an address, so that it lives until the last strip is done.
    """
    literally(bits)
    halves = 128 // bits
    block, skip = word // halves, word % halves
    blocks = (skip + count + halves - 1) // halves
    places = np.empty(STREAMS, np.uint64)
    for at in range(STREAMS):
        row = at if keys[at] else STREAMS
        places[at] = uint64(strips[row].ctypes.data)
        if keys[at]:
            expand(places[at], uint64(block), uint64(blocks), keys[at])
    sum_words(bits, places, uint64(skip * (bits >> 3)), count, out)


@cache
def quartet_encipherer(bits: int) -> Callable[..., None]:
    """Return `add(keys, word, count, out)`: it writes the sums of words of K bits.

    keys: the streams.
    word: number of the first word.
    count: number of words.
    out: address of the sums.
    """
    size = DEGREE * bits // 8

    @njit([void(uint64[::1], int64, int64, uint64)], nogil=True, cache=True)
    def add(keys: NDArray[np.uint64], word: int, count: int, out: int) -> None:
        strips = np.zeros((STREAMS + 1, STRIP_BLOCKS * BLOCK_BYTES), np.uint8)
        for done in range(0, count, STRIP_WORDS):
            words = min(count - done, STRIP_WORDS)
            _sum_strip(bits, keys, strips, word + done, words, out)
            out += uint64(size * words)

    return add


@cache
def vector_encipherer(bits: int) -> Callable[..., None]:
    """Return `write(keys, mask_keys, word, mask_word, count, turns, kept, width, out)`.

    It writes what `bits.vector_writer` makes of the sums of two sets of streams.

    keys: the streams of the shares of x.
    mask_keys: those of the masks.
    word: number of the first word of the former.
    mask_word: number of the first word of the latter.
    count: number of shares; those missing in the last element count as zeros.
    turns: as there, and so are the others.
    """
    size = DEGREE * bits // 8

    @njit(
        [void(uint64[::1], uint64[::1], int64, int64, int64, int64, uint64, uint64, uint64)],
        nogil=True,
        cache=True,
    )
    def write(  # noqa: PLR0917 kernels take no names
        keys: NDArray[np.uint64],
        mask_keys: NDArray[np.uint64],
        word: int,
        mask_word: int,
        count: int,
        turns: int,
        kept: int,
        width: int,
        out: int,
    ) -> None:
        strips = np.zeros((STREAMS + 1, STRIP_BLOCKS * BLOCK_BYTES), np.uint8)
        shares = np.empty((2, STRIP_WORDS * size), np.uint8)
        for done in range(0, count, STRIP_WORDS):
            x, masks = uint64(shares[0].ctypes.data), uint64(shares[1].ctypes.data)
            words = min(count - done, STRIP_WORDS)
            elements = (words + DEGREE - 1) // DEGREE
            _sum_strip(bits, keys, strips, word + done, words, x)
            shares[0, words * size : elements * DEGREE * size] = 0
            mask_words = elements * DEGREE
            _sum_strip(bits, mask_keys, strips, mask_word + done, mask_words, masks)
            write_elements_3(bits, x, masks, elements, turns, kept, width, out)
            out += uint64(mask_words) * width

    return write


@cache
def bit_encipherer(bits: int) -> Callable[..., None]:
    """Return `add(keys, word, count, weight, v, width, out, seen)`.

    It does what `openings.bit_adder` does, for shares of x that are the sums of streams.

    keys: the streams.
    word: number of the first word.
    count: number of bits; the others as there.
    """
    size = DEGREE * bits // 8

    @njit(
        [void(uint64[::1], int64, int64, uint64, uint64, uint64, uint64, uint64[::1])],
        nogil=True,
        cache=True,
    )
    def add(  # noqa: PLR0917 kernels take no names
        keys: NDArray[np.uint64],
        word: int,
        count: int,
        weight: int,
        v: int,
        width: int,
        out: int,
        seen: NDArray[np.uint64],
    ) -> None:
        strips = np.zeros((STREAMS + 1, STRIP_BLOCKS * BLOCK_BYTES), np.uint8)
        shares, work = np.empty(STRIP * size, np.uint8), strip_memory()
        for done in range(0, count, STRIP):
            x = uint64(shares.ctypes.data)
            words = min(count - done, STRIP)
            _sum_strip(bits, keys, strips, word + done, words, x)
            add_strip(DEGREE, bits, x, words, weight, v, width, out, seen, work)
            out += uint64(words * size)
            v += uint64(words) * width

    return add
