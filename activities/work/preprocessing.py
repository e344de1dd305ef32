"""Noise, key bits and products: batches of throw-away randomness until the seal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activities.work.base import BatchWork
from mpc_core.preprocessing.bits import bit_share_vector, bit_shares, check_parity
from mpc_core.preprocessing.noise import noise_shares
from mpc_core.preprocessing.products import ProductRun, product_share_vector, product_shares
from mpc_core.sharing.opening import decode_words
from mpc_core.tfhe.objects import public_object
from mpc_core.tfhe.words import reduce_to_64

if TYPE_CHECKING:
    from mpc_core.preprocessing.batches import Place, Segment
    from mpc_core.ring.galois import RingArray
    from mpc_core.sharing.opening import Buffer, Pieces

__all__ = ["BitsWork", "ProductsWork"]

NARROW = 64


class BitsWork(BatchWork):
    """Random bits: of the noise (only the share of E is kept) and of the secret keys."""

    def share_pieces(self) -> Pieces:
        """Return masked x^2 + x, packed by weight (PROTOCOL.md, "Preprocessing")."""
        vector = bit_share_vector(
            self.keys("bits"),
            self.keys("zero"),
            self.operator.index,
            self.batch.groups,
            self.ring,
        )
        return self._encoded(vector)

    def check_opening(self, opening: Buffer) -> None:
        """Refuse an odd v: x^2 + x is even."""
        check_parity(decode_words(opening, self.batch.element_groups, self.ring), self.ring)

    def shares(self, opening: Buffer) -> RingArray:
        """Return the shares of the bits, or of the noise they add up to."""
        shares = bit_shares(
            self.keys("bits"),
            self.operator.index,
            self.batch.groups,
            decode_words(opening, self.batch.element_groups, self.ring),
            self.ring,
        )
        if self.batch.stage == "N":
            return noise_shares(shares, self.batch.segments, self.ring)
        return shares


class ProductsWork(BatchWork):
    """Products of key bits, kept packed as the bodies will be."""

    def share_pieces(self) -> Pieces:
        """Return masked products s_i S_j plus the pseudo-random P, packed row by row."""
        vector = product_share_vector(
            self.keys("product"),
            self.keys("zero"),
            self.operator.index,
            [self._run(segment) for segment in self.batch.segments],
            self.ring,
        )
        return self._encoded(vector)

    def shares(self, opening: Buffer) -> RingArray:
        """Return the packed shares of the products, w - P."""
        w = decode_words(opening, self.batch.element_groups, self.ring)
        return product_shares(self.keys("product"), self.operator.index, w, self.ring)

    def _run(self, segment: Segment) -> ProductRun:
        """Return the operands of a run of rows: the input bits it needs, and the target key."""
        item = public_object(self.operator.parameters, segment.item)
        spec = item.product
        assert spec is not None
        polynomials = item.mask_polynomials
        first = segment.start // polynomials
        last = (segment.start + segment.count - 1) // polynomials
        layout = self.operator.layout
        target_bits = polynomials * spec.row_length
        return ProductRun(
            inputs=self._own_ring(layout.key_bits(spec.input_key, first, last - first + 1)),
            target=self._own_ring(layout.key_bits(spec.target_key, 0, target_bits)),
            row_length=spec.row_length,
            first=segment.start,
            count=segment.count,
        )

    def _own_ring(self, places: tuple[Place, ...]) -> RingArray:
        """Return key shares reduced to the ring of the batch."""
        shares = self.gather("S", places)
        wide = shares.ndim == len(("bits", "d", "halves"))
        return reduce_to_64(shares) if wide and self.batch.word_bits == NARROW else shares
