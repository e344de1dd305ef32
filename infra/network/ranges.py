"""How many connections a fetch is split over, so that losses do not keep it below the line's rate.

A congestion control that halves its window at every loss cannot fill a long lossy line with one
connection: it reaches sqrt(3/2) segments per round trip over the root of the loss rate. Several
connections add up. One that measures the line, as bbr does, needs no second one.

Source: Mathis, Semke, Mahdavi, Ott (1997), "The macroscopic behavior of the TCP congestion
avoidance algorithm".
"""

from __future__ import annotations

import math

__all__ = ["MOST_RANGES", "parallel_ranges"]

MOST_RANGES = 8
"""More would take sockets and handshakes without end where a line is broken rather than lossy."""

SEGMENT_BITS = 8 * 1448
"""Payload of a full TCP segment with timestamps at an MTU of 1500."""

RATE_BASED = frozenset({"bbr"})
"""Congestion controls that do not take a loss for congestion."""


def parallel_ranges(
    rate: float | None, round_trip: float, loss: float, congestion_control: str
) -> int:
    """Return how many ranges of a blob are to be fetched side by side.

    Args:
        rate: bits per second of the slower of both lines, or `None` if it is not known.
        round_trip: seconds.
        loss: share of the packets that get lost, in [0, 1).
        congestion_control: of the sender.
    """
    if congestion_control in RATE_BASED or not loss or not round_trip:
        return 1
    if rate is None:
        return MOST_RANGES
    one = SEGMENT_BITS / round_trip * math.sqrt(1.5 / loss)
    return max(1, min(MOST_RANGES, math.ceil(rate / one)))
