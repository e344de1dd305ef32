"""Noise, key bits and products: batches of throw-away randomness until the seal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activities.work.base import BatchWork
from mpc_core.preprocessing.bits import bit_vector_pieces, check_even, opened_bit_shares
from mpc_core.preprocessing.noise import opened_noise_shares
from mpc_core.preprocessing.products import (
    ProductRun,
    opened_product_shares,
    product_vector_pieces,
)
from mpc_core.sharing.cached import FoundSums, NotedSums, worth_noting
from mpc_core.sharing.prss import prss_sums
from mpc_core.sharing.zero import zero_sums
from mpc_core.tfhe.objects import public_object
from mpc_core.tfhe.words import reduce_to_64

if TYPE_CHECKING:
    from mpc_core.preprocessing.batches import Place, Segment
    from mpc_core.ring.galois import RingArray
    from mpc_core.sharing.opening import Buffer, Pieces
    from mpc_core.sharing.sums import StreamSums

__all__ = ["BitsWork", "ProductsWork"]

NARROW = 64


class BitsWork(BatchWork):
    """Random bits: of the noise (only the share of E is kept) and of the secret keys."""

    def share_pieces(self) -> Pieces:
        """Yield masked x^2 + x, packed by weight (PROTOCOL.md, "Preprocessing")."""
        index, ring = self.operator.index, self.ring
        masks = zero_sums(self.keys("zero"), index, ring)
        yield from bit_vector_pieces(self._noted(), masks, index, self.batch.groups, ring)

    def check_opening(self, opening: Buffer) -> None:
        """Refuse an odd v: x^2 + x is even."""
        check_even(opening, self.batch.groups, self.ring)

    def shares(self, opening: Buffer) -> RingArray:
        """Return the shares of the bits, or of the noise they add up to."""
        x = self._found()
        if self.batch.stage == "N":
            return opened_noise_shares(x, self.batch.segments, opening, self.ring)
        return opened_bit_shares(x, self.batch.groups, opening, self.ring)

    def _x(self) -> StreamSums:
        """Prepare the sums for x from their streams."""
        return prss_sums(self.keys("bits"), self.operator.index, self.ring)

    def _noted(self) -> StreamSums:
        """Prepare them, to be noted if that is cheaper than to make them once more."""
        streams = len(self.operator.own_sets())
        if self.cache is None or not worth_noting(streams, self.ring.degree):
            return self._x()
        sink = self.cache.begin(self.context_id, self.batch.bits)
        return self._x() if sink is None else NotedSums(self._x(), sink)

    def _found(self) -> StreamSums:
        """Take them from where they were noted, if all of them were; else make them."""
        source = None if self.cache is None else self.cache.find(self.context_id)
        return self._x() if source is None else FoundSums(source, self._x)


class ProductsWork(BatchWork):
    """Products of key bits, kept packed as the bodies will be."""

    def share_pieces(self) -> Pieces:
        """Return masked products s_i S_j plus the pseudo-random P, packed row by row."""
        return product_vector_pieces(
            self.keys("product"),
            self.keys("zero"),
            self.operator.index,
            [self._run(segment) for segment in self.batch.segments],
            self.ring,
        )

    def shares(self, opening: Buffer) -> RingArray:
        """Return the packed shares of the products, w - P."""
        return opened_product_shares(self.keys("product"), self.operator.index, opening, self.ring)

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
