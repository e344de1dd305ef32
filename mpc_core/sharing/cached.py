"""Sums of streams that are noted when a share vector is made, and found again when v is opened.

The share of x is needed twice, in the share vector and in the share of the bit, and between the two
lies a round of the log. It is some words long, the streams it is the sum of are many times that:
where an operator is in many sets, writing the sums down costs less than making them again. What was
noted is a cache. It may be gone at any time, and then the streams are expanded again.

Security: the share of x is secret, and a wrong one makes a share of no bit. Whoever notes sums
    outside the memory of this process encrypts them and notices every change (`NotedSums`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from mpc_core.ring.galois import RingArray
    from mpc_core.sharing.sums import StreamSums

__all__ = ["FoundSums", "NotedSums", "WordSink", "WordSource", "worth_noting"]

LEAST_STREAMS = 8
"""Streams for each coordinate of a sum from which on noting it is cheaper than making it again.

Measured: with 5 (n = 7) both cost the same where kernels use AES instructions; 21 (n = 10) and 124
(n = 13) of them cost 2 and 7 times what noting and finding them does.
"""


class WordSink(Protocol):
    """Takes in sums in the order of their numbers, without gaps, from 0 on."""

    def write(self, first: int, words: RingArray) -> None:
        """Note sums; it never fails for want of room, but forgets what it has.

        Args:
            first: number of the first of them.
            words: the sums, shape (count, d[, 2]), C-contiguous; the caller's again afterwards.
        """


class WordSource(Protocol):
    """Gives back sums, in any order."""

    def read(self, first: int, out: RingArray) -> bool:
        """Write noted sums; returns False, with `out` undefined, unless they are what was noted.

        Args:
            first: number of the first of them.
            out: elements, shape (count, d[, 2]), C-contiguous.
        """


class NotedSums:
    """Sums of streams, each noted when it is made."""

    def __init__(self, sums: StreamSums, sink: WordSink) -> None:
        self._sums, self._sink = sums, sink

    def fill(self, out: RingArray, first: int) -> None:
        """Write the sums of the words from number `first` on."""
        self._sums.fill(out, first)
        self._sink.write(first, out)


class FoundSums:
    """Sums of streams that were noted; what cannot be found is made again."""

    def __init__(self, source: WordSource, make: Callable[[], StreamSums]) -> None:
        """Find sums; `make` prepares the streams, which takes the keys of all sets."""
        self._source, self._make = source, make
        self._sums: StreamSums | None = None

    def fill(self, out: RingArray, first: int) -> None:
        """Write the sums of the words from number `first` on."""
        if self._source.read(first, out):
            return
        if self._sums is None:
            self._sums = self._make()
        self._sums.fill(out, first)


def worth_noting(streams: int, degree: int) -> bool:
    """Tell whether sums of so many streams, of `degree` words each, are cheaper to note."""
    return streams >= LEAST_STREAMS * degree
