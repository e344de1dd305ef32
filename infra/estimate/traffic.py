"""Who sends how many bytes to whom, counted as the protocol sends them.

Of every batch the decoder fetches the share vectors that its opening is made of, from whoever has
served least, and everybody else fetches the opened value from the decoder; a coordinator on another
machine fetches it from whoever has served least. Which vectors are fetched depends a little on the
course of a run, so the share of one operator may differ; sums over all operators are exact.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.serving import decoding_load
from infra.estimate.log import COORDINATOR, decoder_of, log_entries, points_of
from mpc_core.protocol.context import STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.quorum import Quorum

__all__ = ["Traffic", "ceremony_traffic"]

SYNC_BYTES = 2 * 80
"""Of the two requests that an operator sends for a checkpoint, one signature in each."""
HEAD_BYTES = 150
SIGNATURE_BYTES = 70
"""Of a head and of a signature in what an operator receives for a checkpoint."""
CHECKPOINTS_A_BATCH = 6
"""On a fast network: 161 to 193 checkpoints were seen over the 30 batches of the set `test`."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a party sends and receives for a stage, TLS and HTTP framing left out.

    Attributes:
        sent: share vectors and opened values that it serves.
        received: share vectors and opened values that it fetches.
        log_sent: entries that it posts, and its signatures of checkpoints.
        log_received: all entries, and checkpoints.
    """

    sent: int = 0
    received: int = 0
    log_sent: int = 0
    log_received: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.sent + other.sent,
            self.received + other.received,
            self.log_sent + other.log_sent,
            self.log_received + other.log_received,
        )

    @property
    def out(self) -> int:
        """All bytes that leave."""
        return self.sent + self.log_sent

    @property
    def into(self) -> int:
        """All bytes that come in."""
        return self.received + self.log_received


Accounts = dict[tuple[int, str], Traffic]
"""By party, the coordinator being 0, and stage."""


def ceremony_traffic(
    layout: CeremonyLayout, quorum: Quorum, *, one_machine: bool = False
) -> Mapping[tuple[int, str], Traffic]:
    """Count the bytes of an undisturbed ceremony, by party and stage; the coordinator is 0.

    Args:
        layout: the batches.
        quorum: n and t.
        one_machine: whether the coordinator finds opened values on the operators' machine.
    """
    accounts: Accounts = {}
    load = Counter(decoding_load(layout, quorum.count))
    for stage in STAGES:
        for batch in layout.stage(stage):
            _count_batch(accounts, batch, quorum, load)
            if not one_machine:
                _count_copy(accounts, batch, quorum, load)
    _count_log(accounts, layout, quorum)
    return accounts


def _count_batch(
    accounts: Accounts, batch: BatchLayout, quorum: Quorum, load: Counter[int]
) -> None:
    size, decoder = batch.opened_bytes, decoder_of(batch, quorum)
    others = [index for index in quorum.everyone if index != decoder]
    others.sort(key=lambda index: (load[index], (index - decoder) % quorum.count))
    chosen = others[: points_of(batch, quorum) - 1]
    for index in chosen:
        load[index] += size
        _add(accounts, index, batch.stage, Traffic(sent=size))
    _add(accounts, decoder, batch.stage, Traffic(len(others) * size, len(chosen) * size))
    for index in others:
        _add(accounts, index, batch.stage, Traffic(received=size))


def _count_copy(accounts: Accounts, batch: BatchLayout, quorum: Quorum, load: Counter[int]) -> None:
    """Count what the coordinator fetches of a batch."""
    size = batch.opened_bytes
    source = min(quorum.everyone, key=lambda index: (load[index], index))
    load[source] += size
    _add(accounts, source, batch.stage, Traffic(sent=size))
    _add(accounts, COORDINATOR, batch.stage, Traffic(received=size))


def _count_log(accounts: Accounts, layout: CeremonyLayout, quorum: Quorum) -> None:
    in_all: Counter[str] = Counter()
    for posted in log_entries(layout, quorum):
        in_all[posted.stage] += posted.size
        if posted.author != COORDINATOR:
            _add(accounts, posted.author, posted.stage, Traffic(log_sent=posted.size))
    checkpoint = 2 * HEAD_BYTES + 3 * quorum.n_minus_t * SIGNATURE_BYTES
    for stage, size in in_all.items():
        batches = len(layout.stage(stage)) if stage in STAGES else 1
        count = CHECKPOINTS_A_BATCH * batches
        signing = Traffic(log_sent=count * SYNC_BYTES, log_received=size + count * checkpoint)
        for index in quorum.everyone:
            _add(accounts, index, stage, signing)


def _add(accounts: Accounts, party: int, stage: str, amount: Traffic) -> None:
    accounts[party, stage] = accounts.get((party, stage), Traffic()) + amount
