"""Kernels of `mpc_core.sharing.prss` for four operators and one liar, where streams are few.

With t = 1 a set lacks one operator j, and its constant at operator i is 1 - xi^(i-j): for n = 4
there are six of them, for i - j = -3 .. 3 without 0, with coefficients up to 3. Sums and doubles of
whole words are then cheaper than limbs. A stream that an operator does not have counts as zeros, so
that one kernel serves all four.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import int64, njit, uint64, void

from mpc_core.kernels.scalars import load_word, store_word

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["STREAMS", "quartet_adder"]

STREAMS = 6


def quartet_adder(bits: int) -> Callable[..., None]:
    """Return `add(streams, count, out)`: it sums words of K bits of streams in memory.

    streams: addresses of the first word of the streams of i - j = -3, -2, -1, 1, 2, 3.
    count: number of words.
    out: address of the sums, three coordinates each.
    """
    size = bits // 8

    @njit([void(uint64[::1], int64, uint64)], nogil=True, cache=True)
    def add(streams: NDArray[np.uint64], count: int, out: int) -> None:
        s0, s1, s2 = streams[0], streams[1], streams[2]
        s3, s4, s5 = streams[3], streams[4], streams[5]
        step = uint64(size)
        for _ in range(count):
            p3, p2, p1 = load_word(bits, s0), load_word(bits, s1), load_word(bits, s2)  # type: ignore[call-arg]
            q1, q2, q3 = load_word(bits, s3), load_word(bits, s4), load_word(bits, s5)  # type: ignore[call-arg]
            store_word(out, ((q3 + p1 + p3) << uint64(1)) + p3 + q1 + q2)  # type: ignore[call-arg]
            store_word(out + step, (q3 + p2) - (q1 + p3))  # type: ignore[call-arg]
            store_word(out + step + step, (p1 + p3) - (q2 + p2))  # type: ignore[call-arg]
            s0, s1, s2 = s0 + step, s1 + step, s2 + step
            s3, s4, s5 = s3 + step, s4 + step, s5 + step
            out += step + step + step

    return add  # type: ignore[no-any-return]
