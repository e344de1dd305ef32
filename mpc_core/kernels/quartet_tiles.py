"""Kernels that use the sums of `kernels.quartet` at once, of streams that lie in memory.

Shares are made in strips that stay in the first cache. The streams of a PRSS or of zero masks are
given by the addresses of their first words, in the order of `quartet.sum_words`.
"""
# The types of numba and LLVM are not those of Python.
# mypy: disable-error-code="arg-type, assignment, call-arg, no-untyped-call, var-annotated"

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numba import int64, njit, uint64, void

from mpc_core.kernels.bits import write_elements_3
from mpc_core.kernels.openings import STRIP, add_strip, strip_memory
from mpc_core.kernels.quartet import DEGREE, STRIP_WORDS, sum_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["bit_summer", "vector_summer"]


@cache
def vector_summer(bits: int) -> Callable[..., None]:
    """Return `write(places, mask_places, count, turns, kept, width, out)`.

    It writes what `bits.vector_writer` makes of the sums of two sets of streams.

    places: the streams of the shares of x.
    mask_places: those of the masks.
    count: number of shares; those missing in the last element count as zeros.
    turns: as there, and so are the others.
    """
    word, size = bits // 8, DEGREE * bits // 8

    @njit(
        [void(uint64[::1], uint64[::1], int64, int64, uint64, uint64, uint64)],
        nogil=True,
        cache=True,
    )
    def write(  # noqa: PLR0917 kernels take no names
        places: NDArray[np.uint64],
        mask_places: NDArray[np.uint64],
        count: int,
        turns: int,
        kept: int,
        width: int,
        out: int,
    ) -> None:
        shares = np.empty((2, STRIP_WORDS * size), np.uint8)
        for done in range(0, count, STRIP_WORDS):
            x, masks = uint64(shares[0].ctypes.data), uint64(shares[1].ctypes.data)
            words, offset = min(count - done, STRIP_WORDS), uint64(done * word)
            elements = (words + DEGREE - 1) // DEGREE
            sum_words(bits, places, offset, words, x)
            shares[0, words * size : elements * DEGREE * size] = 0
            sum_words(bits, mask_places, offset, elements * DEGREE, masks)
            write_elements_3(bits, x, masks, elements, turns, kept, width, out)
            out += uint64(elements * DEGREE) * width

    return write


@cache
def bit_summer(bits: int) -> Callable[..., None]:
    """Return `add(places, count, weight, v, width, out, seen)`.

    It does what `openings.bit_adder` does, for shares of x that are the sums of streams.

    places: the streams.
    count: number of bits; the others as there.
    """
    word, size = bits // 8, DEGREE * bits // 8

    @njit(
        [void(uint64[::1], int64, uint64, uint64, uint64, uint64, uint64[::1])],
        nogil=True,
        cache=True,
    )
    def add(  # noqa: PLR0917 kernels take no names
        places: NDArray[np.uint64],
        count: int,
        weight: int,
        v: int,
        width: int,
        out: int,
        seen: NDArray[np.uint64],
    ) -> None:
        shares, work = np.empty(STRIP * size, np.uint8), strip_memory()
        for done in range(0, count, STRIP):
            x = uint64(shares.ctypes.data)
            words = min(count - done, STRIP)
            sum_words(bits, places, uint64(done * word), words, x)
            add_strip(DEGREE, bits, x, words, weight, v, width, out, seen, work)
            out += uint64(words * size)
            v += uint64(words) * width

    return add
