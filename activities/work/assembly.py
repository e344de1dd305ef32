"""The public seed, the bodies, and the zero audit (PROTOCOL.md, "Assembly").

All are opened at degree t: a degree-t sharing with a public secret tells t operators nothing new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from activities.work.base import WholeWork
from mpc_core.sharing.challenge import challenge, combinations
from mpc_core.sharing.opening import decode_words
from mpc_core.sharing.prss import prss_share
from mpc_core.tfhe.assembly import packed_body_shares, product_rows
from mpc_core.tfhe.keyset import seed_of
from mpc_core.tfhe.objects import public_object

if TYPE_CHECKING:
    from mpc_core.preprocessing.batches import BatchLayout, Segment
    from mpc_core.protocol.state import CeremonyState
    from mpc_core.ring.galois import RingArray

__all__ = ["AuditWork", "BodiesWork", "SeedWork"]

_SEED_BATCH = ("O", 0)


class SeedWork(WholeWork):
    """The public seed: one pseudo-random value that nobody can influence after the setup."""

    def share_vector(self) -> RingArray:
        """Return the share of the seed."""
        return prss_share(self.keys("seed"), self.operator.index, 1, self.ring)


class _BodyShares(WholeWork):
    """Shares of bodies, packed as they are opened."""

    def _packed(self, segment: Segment) -> RingArray:
        item = public_object(self.operator.parameters, segment.item)
        layout = self.operator.layout
        noise = self.gather(
            "N",
            layout.noise_of(
                item.number, segment.start * item.row_bodies, segment.count * item.row_bodies
            ),
        )
        return packed_body_shares(
            self.operator.parameters,
            item,
            seed_of(self.earlier.opening(_SEED_BATCH)),
            self.key_shares({item.input_key, item.target_key}),
            noise,
            products=self._products(segment),
            start_row=segment.start,
            rows=segment.count,
            ring=self.ring,
        )

    def _products(self, segment: Segment) -> RingArray | None:
        item = public_object(self.operator.parameters, segment.item)
        if item.product is None:
            return None
        rows = product_rows(item, segment.start, segment.count)
        places = self.operator.layout.product_rows(item.number, rows.start, len(rows))
        return self.gather("M", places, -(-item.product.row_length // self.ring.degree))


class BodiesWork(_BodyShares):
    """A run of rows of bodies."""

    def share_vector(self) -> RingArray:
        """Return the packed shares of the bodies."""
        return np.concatenate([self._packed(segment) for segment in self.batch.segments])


class AuditWork(_BodyShares):
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
        differences = np.concatenate([self._difference(batch) for batch in audited])
        log_root = self.operator.log.wait_for(_key_set_root)
        drawn = challenge(self.operator.plan.hash, self.context_id, 0, log_root)
        return combinations(drawn, differences, ((0, len(differences)),), self.ring)

    def _difference(self, bodies: BatchLayout) -> RingArray:
        """Return this operator's shares of opened bodies minus recomputed bodies: all zero."""
        opened = decode_words(
            self.earlier.opening((bodies.stage, bodies.index)), bodies.element_groups, self.ring
        )
        recomputed = np.concatenate([self._packed(segment) for segment in bodies.segments])
        return self.ring.subtract(opened, recomputed)


def _key_set_root(state: CeremonyState) -> bytes | None:
    """Return the root of the prefix that ends with the entry of the key set's digest."""
    entry = state.release.key_set
    return None if entry is None else entry.prefix_root
