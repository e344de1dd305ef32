"""Where the elements of an encoded vector lie: lengths, and spans that are worked on at once.

A share vector or an opening is its groups in order, each element d coefficients of
ceil((K - i) / 8) bytes for weight i (PROTOCOL.md, "Rings and sharings"). Kernels read an encoding
in place, a span at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mpc_core.ring.galois import Ring
    from mpc_core.sharing.opening import Buffer, ElementGroups

__all__ = [
    "SPAN_BYTES",
    "Span",
    "bytes_of",
    "element_count",
    "encoded_size",
    "spans_of",
    "too_wide",
]

SPAN_BYTES = 1 << 19
"""Most bytes of a span."""


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive elements of one weight in an encoded vector.

    Attributes:
        weight: i.
        bits: K - i.
        elements: number of packed elements.
        start: byte at which the first one begins.
        stop: byte after the last one.
    """

    weight: int
    bits: int
    elements: int
    start: int
    stop: int

    def readable(self, data: NDArray[np.uint8], padding: int) -> NDArray[np.uint8]:
        """Return the bytes of the span and at least `padding` more, which mean nothing.

        The bytes of the vector itself are returned where it goes on for that long, a copy at its
        end.
        """
        if self.stop + padding <= data.size:
            return data[self.start : self.stop + padding]
        copy = np.zeros(self.stop - self.start + padding, np.uint8)
        copy[: self.stop - self.start] = data[self.start : self.stop]
        return copy


def element_bytes(weight: int, ring: Ring) -> int:
    """Return the bytes of one packed element of this weight."""
    return ring.degree * -(-(ring.bits - weight) // 8)


def encoded_size(groups: ElementGroups, ring: Ring) -> int:
    """Return the bytes of a vector of these groups."""
    return sum(count * element_bytes(weight, ring) for weight, count in groups)


def spans_of(groups: ElementGroups, ring: Ring, most: int = SPAN_BYTES) -> Iterator[Span]:
    """Cut a vector of these groups into spans of at most `most` bytes, in order."""
    place = 0
    for weight, count in groups:
        size = element_bytes(weight, ring)
        step = max(1, most // size)
        for first in range(0, count, step):
            elements = min(step, count - first)
            stop = place + elements * size
            yield Span(weight, ring.bits - weight, elements, place, stop)
            place = stop


def bytes_of(data: Buffer, groups: ElementGroups, ring: Ring) -> NDArray[np.uint8]:
    """Return the bytes of an encoded vector, not copied.

    Raises:
        CeremonyError: RF-BATCH-002 if there are more or fewer than the groups take.
    """
    expected, found = encoded_size(groups, ring), memoryview(data).nbytes
    if found != expected:
        raise _wrong_length(f"{expected} bytes", found)
    return np.frombuffer(data, np.uint8)


def element_count(data: Buffer, ring: Ring) -> int:
    """Return how many elements of weight 0 an encoded vector has.

    Raises:
        CeremonyError: RF-BATCH-002 if the last one is not whole.
    """
    size, found = element_bytes(0, ring), memoryview(data).nbytes
    if found % size:
        raise _wrong_length(f"a multiple of {size} bytes", found)
    return found // size


def _wrong_length(expected: str, found: int) -> CeremonyError:
    return CeremonyError(
        "RF-BATCH-002",
        "a share vector or opening has the wrong length",
        expected=expected,
        found=f"{found} bytes",
        effect="it is not used",
        runbook="a-batch-does-not-open",
    )


def too_wide(bits: int, found: str = "a wider coefficient") -> CeremonyError:
    """Return the refusal of a vector with a coefficient of more than `bits` bits."""
    return CeremonyError(
        "RF-BATCH-003",
        "a share vector or opening is not canonical",
        expected=f"coefficients of at most {bits} bits",
        found=found,
        effect="it is not used",
        runbook="a-batch-does-not-open",
    )
