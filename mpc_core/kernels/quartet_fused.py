"""The kernel of `kernels.quartet` that enciphers its streams itself, where the CPU has AES."""
# The types of numba and LLVM are not those of Python.
# mypy: disable-error-code="arg-type, assignment, call-arg, no-untyped-call, var-annotated"

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numba import int64, njit, uint64, void

from mpc_core.kernels.aes import BLOCK_BYTES, expand
from mpc_core.kernels.quartet import STREAMS, sum_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["quartet_encipherer"]

STRIP_BLOCKS = 256
"""Blocks of every stream that are made before they are summed: they stay in the first cache."""


@cache
def quartet_encipherer(bits: int) -> Callable[..., None]:
    """Return `add(keys, block, skip, count, out)`: it sums words of K bits.

    keys: addresses of the round keys of the streams, in the order of `sum_words`; 0 for a stream
        that the operator does not have.
    block: number of the first block.
    skip: words of that block that come before the first one.
    count: number of words.
    out: address of the sums.
    """
    halves, size = 128 // bits, bits // 8

    @njit([void(uint64[::1], uint64, int64, int64, uint64)], nogil=True, cache=True)
    def add(keys: NDArray[np.uint64], block: int, skip: int, count: int, out: int) -> None:
        strips = np.zeros((STREAMS + 1, STRIP_BLOCKS * BLOCK_BYTES), np.uint8)
        places = np.empty(STREAMS, np.uint64)
        for at in range(STREAMS):
            used = at if keys[at] else STREAMS
            places[at] = uint64(strips[used].ctypes.data)
        while count > 0:
            blocks = min(STRIP_BLOCKS, (skip + count + halves - 1) // halves)
            for at in range(STREAMS):
                if keys[at]:
                    expand(places[at], block, uint64(blocks), keys[at])
            words = min(blocks * halves - skip, count)
            sum_words(bits, places, uint64(skip * size), words, out)
            out += uint64(3 * size * words)
            block += uint64(blocks)
            count -= words
            skip = 0

    return add
