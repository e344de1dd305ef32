"""Kernels of `mpc_core.sharing.prss` for four operators and one liar, where streams are few.

With t = 1 a set lacks one operator j, and its constant at operator i is 1 - xi^(i-j): for n = 4
there are six of them, for i - j = -3 .. 3 without 0, with coefficients up to 3. Sums and doubles of
whole words are then cheaper than limbs. A stream that an operator does not have counts as zeros, so
that one kernel serves all four.

Security: no branch and no address depends on a stream.
"""
# The types of numba and LLVM are not those of Python.
# mypy: disable-error-code="arg-type, assignment, call-arg, no-untyped-call, var-annotated"

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from numba import int64, njit, uint64, void
from numba.misc.special import literally

from mpc_core.kernels.scalars import load_word, store_word

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DEGREE", "STREAMS", "STRIP_WORDS", "quartet_adder", "sum_words"]

STREAMS, DEGREE = 6, 3
STRIP_WORDS = 32 * DEGREE
"""Words whose shares stay in the first cache; they fill packed elements."""


@njit(nogil=True)
def sum_words(bits, places, offset, count, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Write sums of words of K bits, three coordinates each.

    Args:
        bits: K, known when the kernel compiles.
        places: addresses of the streams of i - j = -3, -2, -1, 1, 2, 3.
        offset: bytes before the first word of each.
        count: number of words.
        out: address of the sums.
    """
    literally(bits)
    s0, s1, s2 = places[0] + offset, places[1] + offset, places[2] + offset
    s3, s4, s5 = places[3] + offset, places[4] + offset, places[5] + offset
    step = uint64(bits >> 3)
    for _ in range(count):
        p3, p2, p1 = load_word(bits, s0), load_word(bits, s1), load_word(bits, s2)
        q1, q2, q3 = load_word(bits, s3), load_word(bits, s4), load_word(bits, s5)
        store_word(out, ((q3 + p1 + p3) << uint64(1)) + p3 + q1 + q2)
        store_word(out + step, (q3 + p2) - (q1 + p3))
        store_word(out + step + step, (p1 + p3) - (q2 + p2))
        s0, s1, s2 = s0 + step, s1 + step, s2 + step
        s3, s4, s5 = s3 + step, s4 + step, s5 + step
        out += step + step + step


@cache
def quartet_adder(bits: int) -> Callable[..., None]:
    """Return `add(places, count, out)`: `sum_words` for this K, from the first word on."""

    @njit([void(uint64[::1], int64, uint64)], nogil=True, cache=True)
    def add(places: NDArray[np.uint64], count: int, out: int) -> None:
        sum_words(bits, places, uint64(0), count, out)

    return add
