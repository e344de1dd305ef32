"""The public seed, the bodies, and the zero audit (PROTOCOL.md, "Assembly").

All are opened at degree t: a degree-t sharing with a public secret tells t operators nothing new.
Bodies are computed in runs of rows, so that batches of any size take a few megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from activities.work.base import BatchWork, WholeWork
from mpc_core.sharing.challenge import CombinationSum, challenge
from mpc_core.sharing.opening import decode_words, encode_words
from mpc_core.sharing.prss import prss_share
from mpc_core.tfhe.assembly import BodyShares, product_rows
from mpc_core.tfhe.keyset import seed_of
from mpc_core.tfhe.objects import public_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from activities.work.base import Earlier
    from mpc_core.preprocessing.batches import BatchLayout, Segment
    from mpc_core.protocol.state import CeremonyState
    from mpc_core.ring.galois import RingArray
    from mpc_core.sharing.opening import Pieces
    from mpc_core.tfhe.objects import PublicObject

__all__ = ["AuditWork", "BodiesWork", "SeedWork"]

_SEED_BATCH = ("O", 0)
_RECENT = 4
"""Stored batches at hand: a run of rows may end one of noise and one of products, and begin one."""


class SeedWork(WholeWork):
    """The public seed: one pseudo-random value that nobody can influence after the setup."""

    def share_vector(self) -> RingArray:
        """Return the share of the seed."""
        return prss_share(self.keys("seed"), self.operator.index, 1, self.ring)


class _Recent:
    """What earlier batches left; the shares used last stay at hand, since rows follow in order."""

    def __init__(self, earlier: Earlier) -> None:
        self.shares = lru_cache(_RECENT)(earlier.shares)
        self.opening = earlier.opening


@dataclass
class _BodyShares(BatchWork):
    """Shares of bodies, packed as they are opened."""

    def __post_init__(self) -> None:
        self.earlier = _Recent(self.earlier)

    def _packed(self, segments: Iterable[Segment]) -> Iterator[RingArray]:
        """Yield the packed shares of runs of rows, run by run."""
        operator, seed = self.operator, seed_of(self.earlier.opening(_SEED_BATCH))
        for segment in segments:
            item = public_object(operator.parameters, segment.item)
            keys = self.key_shares({item.input_key, item.target_key})
            bodies = BodyShares.of(operator.parameters, item, seed, keys, self.ring)
            for rows in bodies.chunks(segment.start, segment.count):
                yield bodies.packed(rows, self._noise(item, rows), self._products(item, rows))

    def _noise(self, item: PublicObject, rows: range) -> RingArray:
        first, count = rows.start * item.row_bodies, len(rows) * item.row_bodies
        return self.gather("N", self.operator.layout.noise_of(item.number, first, count))

    def _products(self, item: PublicObject, rows: range) -> RingArray | None:
        if item.product is None:
            return None
        own = product_rows(item, rows.start, len(rows))
        places = self.operator.layout.product_rows(item.number, own.start, len(own))
        return self.gather("M", places, -(-item.product.row_length // self.ring.degree))


class BodiesWork(_BodyShares):
    """A run of rows of bodies."""

    def share_pieces(self) -> Pieces:
        """Compute the packed shares of the bodies, run by run."""
        for packed in self._packed(self.batch.segments):
            yield encode_words(packed, ((0, len(packed)),), self.ring)


class AuditWork(_BodyShares, WholeWork):
    """The zero audit of one ring: challenge combinations of body minus recomputed body.

    The bodies are those of the key set whose digest n-t operators signed; the challenge is drawn
    from the log prefix that ends with that entry. Every combination must open to zero.
    """

    def share_vector(self) -> RingArray:
        """Return the shares of the challenge combinations."""
        audited = [
            batch
            for batch in self.operator.layout.assembly
            if batch.purpose == "bodies" and batch.word_bits == self.batch.word_bits
        ]
        log_root = self.operator.log.wait_for(_key_set_root)
        drawn = challenge(self.operator.plan.hash, self.context_id, 0, log_root)
        combined = CombinationSum(drawn, self.ring)
        for batch in audited:
            for difference in self._differences(batch):
                combined.add(difference)
        return combined.result()

    def _differences(self, bodies: BatchLayout) -> Iterator[RingArray]:
        """Yield this operator's shares of opened bodies minus recomputed bodies: all zero."""
        opening = memoryview(self.earlier.opening((bodies.stage, bodies.index)))
        start = 0
        for packed in self._packed(bodies.segments):
            stop = start + packed.nbytes
            opened = decode_words(opening[start:stop], ((0, len(packed)),), self.ring)
            yield self.ring.subtract(opened, packed)
            start = stop


def _key_set_root(state: CeremonyState) -> bytes | None:
    """Return the root of the prefix that ends with the entry of the key set's digest."""
    entry = state.release.key_set
    return None if entry is None else entry.prefix_root
