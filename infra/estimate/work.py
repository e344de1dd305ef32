"""What one batch, and each step beside the batches, costs an operator: counts times costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.estimate.costs import ElementCosts
from infra.estimate.log import decoder_of, points_of
from mpc_core.protocol.setup import sets_of
from mpc_core.sharing.cached import worth_noting
from mpc_core.tfhe.objects import Kind, public_objects

if TYPE_CHECKING:
    from infra.estimate.costs import Costs
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.quorum import Quorum
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["CeremonyWork", "kept_bytes", "key_set_bytes", "noted_bytes"]

SAME_COST = {"flood": "noise"}
"""Purposes whose batches are made as those of another."""
NEGLIGIBLE = ElementCosts(0.0, 0.0, 0.0, 0.0, 0.0)
"""Of openings of a few elements: the seed, the audit and the test decryptions."""


def kept_bytes(batch: BatchLayout) -> int:
    """Return the length of the shares that an operator keeps of a batch."""
    if batch.stage == "O":
        return 0
    positions = (
        batch.elements if batch.stage == "M" else sum(segment.count for segment in batch.segments)
    )
    return positions * batch.degree * batch.word_bits // 8


def noted_bytes(batch: BatchLayout, quorum: Quorum) -> int:
    """Return the length of the sums that an operator notes while a batch of bits is in flight."""
    if not worth_noting(len(sets_of(1, quorum)), batch.degree):
        return 0
    return batch.bits * batch.degree * batch.word_bits // 8


def key_set_bytes(parameters: Parameters) -> int:
    """Return the bytes of the three key files, but for some kilobytes of parameters.

    Both server files hold every body; the compact public key stands in one of them, and once more
    with its mask in a file of its own.
    """
    total = 0
    for item in public_objects(parameters):
        size = item.bodies * item.word_bits // 8
        total += 3 * size if item.kind is Kind.COMPACT_KEY and item.number == 1 else 2 * size
    return total


@dataclass(frozen=True, slots=True)
class CeremonyWork:
    """The work of a ceremony, in CPU seconds of one thread.

    Attributes:
        parameters: the parameter set.
        layout: the batches.
        quorum: n and t.
        costs: what the steps cost.
    """

    parameters: Parameters
    layout: CeremonyLayout
    quorum: Quorum
    costs: Costs

    def operator(self, batch: BatchLayout, index: int) -> float:
        """Return what a batch costs one operator, what it serves to others left out."""
        own = self.share(batch) + self.answer(batch)
        decoding = decoder_of(batch, self.quorum) == index
        return own + (self.decode(batch) if decoding else self.take(batch))

    def share(self, batch: BatchLayout) -> float:
        """Return what the share vector costs: computed, hashed and written."""
        costs, store = self.costs, self.costs.hash_byte + self.costs.write_byte
        seconds = batch.elements * self._each(batch).share + batch.opened_bytes * store
        if batch.purpose in {"bodies", "audit"}:
            seconds += sum(
                costs.rows.get(segment.item, 0.0) * segment.count for segment in batch.segments
            )
            seconds += self._loaded_bytes(batch) * costs.load_byte
        if batch.purpose == "audit":
            bodies = [each for each in self.layout.assembly if self._is_audited(each, batch)]
            seconds += sum(each.elements * self._each(each).answer for each in bodies)
        return seconds

    def decode(self, batch: BatchLayout) -> float:
        """Return what decoding costs: the other vectors fetched, v computed, hashed and written."""
        each, costs = self._each(batch), self.costs
        fetched = (points_of(batch, self.quorum) - 1) * batch.opened_bytes
        return (
            batch.elements * (each.open + each.check)
            + fetched * costs.receive_byte
            + batch.opened_bytes * (costs.hash_byte + costs.write_byte)
        )

    def take(self, batch: BatchLayout) -> float:
        """Return what it costs to fetch v from the decoder and to check it."""
        received = batch.opened_bytes * self.costs.receive_byte
        return batch.elements * self._each(batch).check + received

    def answer(self, batch: BatchLayout) -> float:
        """Return what the answer, the verdict, and the stored shares cost."""
        each = self._each(batch)
        kept = kept_bytes(batch) * self.costs.keep_byte
        return batch.elements * (2 * each.answer + each.keep) + kept

    def verdict(self, batch: BatchLayout) -> float:
        """Return what it costs to see whether answers fit v."""
        return batch.elements * self._each(batch).answer

    def secure(self) -> float:
        """Return what it costs to check all shares and to move them into the vault."""
        return self.secured_bytes() * self.costs.load_byte

    def secured_bytes(self) -> int:
        """Return the length of all shares that the vault takes in."""
        return sum(kept_bytes(batch) for batch in self._offline())

    def rebuild(self) -> float:
        """Return what it costs to rebuild the key set from the openings and to hash it."""
        opened = sum(batch.opened_bytes for batch in self.layout.assembly)
        return key_set_bytes(self.parameters) * self.costs.export_byte + (
            opened * self.costs.hash_byte
        )

    def publish(self) -> float:
        """Return what it costs the coordinator to write the key set; openings are linked."""
        return self.rebuild() + key_set_bytes(self.parameters) * self.costs.write_byte

    def _offline(self) -> tuple[BatchLayout, ...]:
        return (*self.layout.noise, *self.layout.secrets, *self.layout.products)

    def _each(self, batch: BatchLayout) -> ElementCosts:
        purpose = SAME_COST.get(batch.purpose, batch.purpose)
        return self.costs.elements.get((purpose, batch.word_bits), NEGLIGIBLE)

    def _loaded_bytes(self, batch: BatchLayout) -> int:
        """Return the length of the shares of noise and products that bodies are made of."""
        items = {item.number: item for item in public_objects(self.parameters)}
        values = 0
        for segment in batch.segments:
            item = items[segment.item]
            values += segment.count * item.row_bodies
            if item.product is not None:
                values += (
                    segment.count
                    * item.product.rows
                    * item.product.row_length
                    // (item.rows * batch.degree)
                )
        return values * batch.degree * batch.word_bits // 8

    @staticmethod
    def _is_audited(bodies: BatchLayout, audit: BatchLayout) -> bool:
        return bodies.purpose == "bodies" and bodies.word_bits == audit.word_bits
