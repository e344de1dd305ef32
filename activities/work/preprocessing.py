"""Noise, key bits and products: batches of throw-away randomness until the seal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from activities.work.base import BatchWork
from mpc_core.preprocessing.bits import bit_share_vector, bit_shares, check_parity
from mpc_core.preprocessing.noise import noise_shares
from mpc_core.preprocessing.products import product_share_vector, product_shares
from mpc_core.tfhe.objects import public_object
from mpc_core.tfhe.words import reduce_to_64

if TYPE_CHECKING:
    from mpc_core.preprocessing.batches import Segment
    from mpc_core.ring.galois import RingArray

__all__ = ["BitsWork", "ProductsWork"]


class BitsWork(BatchWork):
    """Random bits: of the noise (only the share of E is kept) and of the secret keys."""

    def share_vector(self) -> RingArray:
        """Return masked x^2 + x, packed by weight (PROTOCOL.md, "Preprocessing")."""
        return bit_share_vector(
            self.keys("bits"),
            self.keys("zero"),
            self.operator.index,
            self.batch.groups,
            self.ring,
        )

    def check_opening(self, opening: RingArray) -> None:
        """Refuse an odd v: x^2 + x is even."""
        check_parity(opening, self.batch.groups, self.ring)

    def shares(self, opening: RingArray) -> RingArray:
        """Return the shares of the bits, or of the noise they add up to."""
        shares = bit_shares(
            self.keys("bits"), self.operator.index, self.batch.groups, opening, self.ring
        )
        if self.batch.stage == "N":
            return noise_shares(shares, self.batch.segments, self.ring)
        return shares


class ProductsWork(BatchWork):
    """Products of key bits, kept packed as the bodies will be."""

    def share_vector(self) -> RingArray:
        """Return masked products s_i S_j plus the pseudo-random P, packed row by row."""
        return product_share_vector(
            self.keys("product"),
            self.keys("zero"),
            self.operator.index,
            np.concatenate([self._factors(segment) for segment in self.batch.segments]),
            self.ring,
        )

    def shares(self, opening: RingArray) -> RingArray:
        """Return the packed shares of the products, w - P."""
        return product_shares(self.keys("product"), self.operator.index, opening, self.ring)
