"""What a decoder's entry claims of an opened value, and whether the value bears it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpc_core.preprocessing.bits import check_even
from mpc_core.protocol.entries import Decoded
from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.galois import Ring
from mpc_core.sharing.challenge import answer_for, challenge
from mpc_core.sharing.opening import decode_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infra.verify.evidence import Rules
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.entries import LogEntry

__all__ = ["Claim", "claims_of", "objection_to", "sum_of"]

BITS = ("noise", "flood", "bits")
"""Purposes of batches whose opened values are x^2 + x."""


@dataclass(frozen=True, slots=True)
class Claim:
    """That an opened value is that of a batch; the challenge follows from where the entry stands.

    Attributes:
        key: the batch.
        context: identifier of its context.
        round: the decoder's round.
        log_root: root of the log prefix that ends with the decoder's entry.
    """

    key: BatchKey
    context: bytes
    round: int
    log_root: bytes


def claims_of(log: Iterable[LogEntry]) -> Mapping[bytes, tuple[Claim, ...]]:
    """Return the claims of decoders' entries by the Merkle root that they name.

    Of several entries for one round the first counts, as far as can be seen without judging it.
    """
    claims: dict[bytes, dict[tuple[bytes, int], Claim]] = {}
    for logged in log:
        if isinstance(logged.entry, Decoded):
            entry, key = logged.entry, (logged.entry.batch.stage, logged.entry.batch.batch)
            claim = Claim(key, entry.context, entry.round, logged.prefix_root)
            claims.setdefault(entry.root, {}).setdefault((entry.context, entry.round), claim)
    return {root: tuple(found.values()) for root, found in claims.items()}


def sum_of(rules: Rules, claim: Claim, data: memoryview) -> bytes:
    """Return sum rho v, encoded as an answer: what the answers to the challenge must have at 0.

    Raises:
        CeremonyError: RF-BATCH-002 or -003, if the value is no opening of that batch.
    """
    batch = rules.layout.batch(*claim.key)
    ring = Ring(batch.word_bits, batch.degree)
    drawn = challenge(rules.plan.hash, claim.context, claim.round, claim.log_root)
    return answer_for(drawn, data, batch.element_groups, ring)


def objection_to(batch: BatchLayout, data: memoryview) -> CeremonyError | None:
    """Return why a value cannot be the opening of a batch: not canonical, or odd where it is even.

    None if nothing speaks against it.
    """
    ring = Ring(batch.word_bits, batch.degree)
    try:
        if batch.purpose in BITS:
            check_even(data, batch.groups, ring)
        else:
            decode_words(data, batch.element_groups, ring)
    except CeremonyError as objection:
        return objection
    return None
