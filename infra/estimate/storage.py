"""How much memory and disk a ceremony takes, from what is held at a time and what is kept.

Vectors and opened values are files that are mapped while they are read, so they count as memory of
the process while a step works on them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.estimate.log import decoder_of, log_entries, points_of
from infra.estimate.work import kept_bytes, key_set_bytes, noted_bytes
from mpc_core.protocol.context import STAGES
from mpc_core.tfhe.objects import public_objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.quorum import Quorum
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["StageRoom", "Storage", "storage_of"]

PROCESS_BYTES = 270_000_000
"""Of an operator that has loaded everything and computes nothing: reports of the set `test`."""
PRESENT = 0.5
"""Of the vectors of batches in flight, at the peak of the disk: they come and go at other times."""
BESIDE = 0.5
"""Of the root of the sum of squares of what the steps beside the largest one hold, at its peak:
they begin at other times, and a mapped file counts as far as it was read. From the peaks of
`mainnet` runs of four operators with 3 and 6 batches in flight, and of one at scale 8 with 12."""
PIECES_BYTES = 8 << 20
"""Buffers of a step that streams its result."""


@dataclass(frozen=True, slots=True)
class StageRoom:
    """What one stage takes of an operator on a machine of its own, in bytes.

    Attributes:
        memory: of its process at the peak.
        disk: that the stage adds: opened values and own shares.
    """

    memory: int
    disk: int


@dataclass(frozen=True, slots=True)
class Storage:
    """What parties hold, in bytes.

    Attributes:
        operator_memory: of an operator's process at its peak.
        coordinator_memory: of the coordinator's.
        openings: opened values; on a machine of several parties they are there once.
        shares: what one operator keeps of all batches.
        vectors: own and fetched share vectors that one operator holds at a time.
        sums: sums of streams that it notes for batches in flight.
        log: one copy of the log.
        result: key set; transcripts share the files of the openings.
        stages: what each stage of batches takes of an operator.
    """

    operator_memory: int
    coordinator_memory: int
    openings: int
    shares: int
    vectors: int
    sums: int
    log: int
    result: int
    stages: Mapping[str, StageRoom]

    @property
    def operator_own(self) -> int:
        """Disk of what an operator shares with nobody on its machine."""
        return self.shares + self.vectors + self.sums + self.log

    @property
    def operator_disk(self) -> int:
        """Disk of an operator on a machine of its own."""
        return self.openings + self.operator_own

    @property
    def coordinator_disk(self) -> int:
        """Disk of a coordinator on a machine of its own, with the published result."""
        return self.openings + self.log + self.result

    def machine_disk(self, operators: int) -> int:
        """Disk of a machine with so many operators and the coordinator."""
        return self.openings + operators * self.operator_own + self.log + self.result

    def machine_memory(self, operators: int) -> int:
        """Memory of a machine with so many operators and the coordinator."""
        return operators * self.operator_memory + self.coordinator_memory


def storage_of(
    parameters: Parameters, layout: CeremonyLayout, quorum: Quorum, in_flight: int
) -> Storage:
    """Return what an undisturbed ceremony holds and keeps.

    Args:
        parameters: the parameter set.
        layout: its batches.
        quorum: n and t.
        in_flight: batches that an operator works on at a time.
    """
    batches = [batch for stage in STAGES for batch in layout.stage(stage)]
    largest = sorted((batch.opened_bytes for batch in batches), reverse=True)[:in_flight]
    bodies = sum(item.bodies * item.word_bits // 8 for item in public_objects(parameters))
    working = {
        stage: _most_at_a_time(list(_working_sets(layout.stage(stage), quorum)), in_flight)
        for stage in STAGES
    }
    points = max(points_of(batch, quorum) for batch in batches)
    return Storage(
        operator_memory=PROCESS_BYTES + max(*working.values(), 2 * bodies),
        coordinator_memory=PROCESS_BYTES + largest[0],
        openings=sum(batch.opened_bytes for batch in batches),
        shares=sum(kept_bytes(batch) for batch in batches),
        vectors=int(
            PRESENT * (sum(largest) + -(-in_flight // quorum.count) * (points - 1) * largest[0])
        ),
        sums=_noted_at_a_time(layout, quorum, in_flight),
        log=sum(posted.size for posted in log_entries(layout, quorum)),
        result=key_set_bytes(parameters),
        stages={
            stage: StageRoom(
                memory=PROCESS_BYTES + working[stage],
                disk=sum(each.opened_bytes + kept_bytes(each) for each in layout.stage(stage)),
            )
            for stage in STAGES
        },
    )


def _noted_at_a_time(layout: CeremonyLayout, quorum: Quorum, in_flight: int) -> int:
    """Return the length of the sums noted for batches in flight: key bits are made beside noise."""
    return sum(
        sum(sorted((noted_bytes(batch, quorum) for batch in batches), reverse=True)[:in_flight])
        for batches in (layout.noise, layout.secrets)
    )


def _working_sets(batches: Sequence[BatchLayout], quorum: Quorum) -> Iterator[int]:
    """Yield what a step on each batch holds at operator 1, which decodes one in n batches."""
    for batch in batches:
        if batch.purpose == "bodies":
            yield PIECES_BYTES + 2 * (batch.degree + 1) * batch.opened_bytes
        elif decoder_of(batch, quorum) == 1:
            yield PIECES_BYTES + (points_of(batch, quorum) + 1) * batch.opened_bytes
        else:
            yield PIECES_BYTES + 2 * batch.opened_bytes + kept_bytes(batch)


def _most_at_a_time(sizes: Sequence[int], count: int) -> int:
    """Return the most that neighbours in flight hold: one of them all it ever needs."""
    most = 0
    for start in range(len(sizes)):
        *others, largest = sorted(sizes[start : start + count])
        most = max(most, largest + int(BESIDE * math.hypot(*others)))
    return most
