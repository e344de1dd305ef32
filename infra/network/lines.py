"""The lines between parties as a queue in time: rate, delay and seeded loss. No clock, no I/O.

A packet passes the line of its sender, where it waits for its turn, may get lost and is delayed,
and then the line of its receiver, where it waits for its turn again. A line holds what arrives
within `QUEUE_SECONDS` at its rate; what comes on top of that is dropped, as a router does.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infra.network.packets import Packet

__all__ = ["Line", "Lines", "LinkShape", "Losses"]

QUEUE_SECONDS = 0.1
LEAST_QUEUE = 256 * 1024
"""Bytes that a slow line holds, so that some joined packets fit at all."""


@dataclass(frozen=True, slots=True)
class LinkShape:
    """What the line of a party is like.

    Attributes:
        rate: bits per second in each direction, or `None` for a line without limit.
        delay: seconds that what the party sends is under way to whoever receives it.
        loss: share of the packets sent by the party that get lost, in [0, 1).
        congestion_control: of the TCP connections of the party; "" for this machine's default.
    """

    rate: int | None = None
    delay: float = 0.0
    loss: float = 0.0
    congestion_control: str = ""


class Losses:
    """Which packets of a stream get lost: each with the same probability, by a seed."""

    def __init__(self, loss: float, seed: str) -> None:
        """Draw nothing yet; equal seeds lose equal packets."""
        self._scale = math.log1p(-loss) if loss else -math.inf
        self._random = random.Random(seed)  # noqa: S311 - no secret depends on a loss
        self._never = not loss
        self._spared = self._gap()

    def among(self, packets: int) -> list[int]:
        """Return which of the next so many packets get lost, in order."""
        if self._never:
            return []
        lost = []
        while self._spared < packets:
            lost.append(self._spared)
            self._spared += 1 + self._gap()
        self._spared -= packets
        return lost

    def _gap(self) -> int:
        """Draw how many packets pass before the next loss; geometric."""
        return int(math.log(1.0 - self._random.random()) / self._scale)


@dataclass(slots=True)
class Line:
    """One direction of a party's line: packets leave one after the other at a rate.

    Attributes:
        rate: bits per second, or `None` for one without limit.
        free: from when on the line is free.
    """

    rate: int | None
    free: float = 0.0

    def fitting(self, now: float, packet: Packet) -> int:
        """Return how many segments of a packet the queue still holds."""
        if self.rate is None:
            return packet.segments
        room = max(QUEUE_SECONDS * self.rate / 8, LEAST_QUEUE) - self._waiting(now)
        return min(packet.segments, int(room * packet.segments / packet.wire_bytes))

    def send(self, now: float, packet: Packet) -> float:
        """Put a packet on the line and return when all of it has left."""
        if self.rate is None:
            return now
        self.free = max(self.free, now) + 8 * packet.wire_bytes / self.rate
        return self.free

    def _waiting(self, now: float) -> float:
        return max(0.0, self.free - now) * (self.rate or 0) / 8


@dataclass(slots=True)
class _End:
    """The line of a party, both directions."""

    delay: float
    losses: Losses
    up: Line
    down: Line


@dataclass(slots=True)
class Lines:
    """All lines, and the packets that are on them.

    Attributes:
        ends: lines by the addresses of their parties.
    """

    ends: Mapping[int, _End]
    _under_way: list[tuple[float, int, bool, Packet]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=count)

    @classmethod
    def of(cls, shapes: Mapping[int, LinkShape], seed: int) -> Lines:
        """Return idle lines, each with losses of its own, by the addresses of their parties."""
        return cls(
            {
                address: _End(
                    shape.delay,
                    Losses(shape.loss, f"{seed}/{address}"),
                    Line(shape.rate),
                    Line(shape.rate),
                )
                for address, shape in shapes.items()
            }
        )

    @property
    def next_due(self) -> float | None:
        """When a packet gets on, or `None` if none is under way."""
        return self._under_way[0][0] if self._under_way else None

    def offer(self, now: float, packet: Packet) -> None:
        """Take what a party sends; what is not for another party goes nowhere."""
        end = self.ends.get(packet.source)
        if end is None or packet.destination not in self.ends:
            return
        for part in _without(packet, end.losses.among(packet.segments)):
            fitting = end.up.fitting(now, part)
            if fitting:
                kept = part.run(0, fitting)
                self._push(end.up.send(now, kept) + end.delay, kept, arrived=False)

    def due(self, now: float) -> Iterator[Packet]:
        """Yield the packets that reach their receivers up to now, in the order in which they do."""
        while self._under_way and self._under_way[0][0] <= now:
            time, _, arrived, packet = heapq.heappop(self._under_way)
            if arrived:
                yield packet
                continue
            line = self.ends[packet.destination].down
            fitting = line.fitting(time, packet)
            if fitting:
                kept = packet.run(0, fitting)
                self._push(line.send(time, kept), kept, arrived=True)

    def _push(self, time: float, packet: Packet, *, arrived: bool) -> None:
        heapq.heappush(self._under_way, (time, next(self._order), arrived, packet))


def _without(packet: Packet, lost: list[int]) -> Iterator[Packet]:
    """Yield what is left of a packet without some of its segments."""
    first = 0
    for at in (*lost, packet.segments):
        if at > first:
            yield packet.run(first, at)
        first = at + 1
