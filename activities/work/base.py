"""The part that all batches share: ring, keys, encoding, and what earlier batches left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mpc_core.sharing.opening import decode_words, encode_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from activities.operator import Operator
    from mpc_core.preprocessing.batches import BatchLayout, Place
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.context import BatchContext
    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.sharing.prss import StreamKey

__all__ = ["BatchWork", "Earlier"]


class Earlier(Protocol):
    """What earlier batches left: this operator's shares and the public openings."""

    def shares(self, key: BatchKey) -> RingArray:
        """Return this operator's stored shares of a batch; recomputed when they are missing."""
        ...

    def opening(self, key: BatchKey) -> bytes:
        """Return the public opening of a batch; fetched when it is not here."""
        ...


@dataclass
class BatchWork(ABC):
    """One operator's work on one batch under one context."""

    operator: Operator
    batch: BatchLayout
    context: BatchContext
    earlier: Earlier

    @cached_property
    def ring(self) -> Ring:
        """The ring the batch is opened in."""
        return self.operator.ring(self.batch.word_bits)

    @cached_property
    def context_bytes(self) -> bytes:
        """What the batch keys are derived from."""
        return self.context.encode(self.operator.plan.hash)

    @cached_property
    def context_id(self) -> bytes:
        """How log entries name the context."""
        return self.context.identifier(self.operator.plan.hash)

    def keys(self, stream: str) -> dict[tuple[int, ...], StreamKey]:
        """Derive this operator's batch keys of one stream."""
        stage_keys = self.operator.stage_keys(self.batch.stage)
        return stage_keys.batch_keys(self.context_bytes, stream, self.batch.word_bits)

    def encode(self, values: RingArray) -> bytes:
        """Encode a share vector or opening canonically."""
        return encode_words(values, self.batch.element_groups, self.ring)

    def decode(self, data: bytes) -> RingArray:
        """Decode a share vector or opening; refuses anything that is not canonical."""
        return decode_words(data, self.batch.element_groups, self.ring)

    def gather(self, stage: str, places: Iterable[Place], per_position: int = 1) -> RingArray:
        """Join the stored shares of some runs; a position is `per_position` elements long."""
        parts = [
            self.earlier.shares((stage, place.batch))[
                place.offset * per_position : (place.offset + place.count) * per_position
            ]
            for place in places
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def key_shares(self, names: Iterable[str]) -> Mapping[str, RingArray]:
        """Return the shares of whole secret keys, each in the ring it is shared in."""
        return {
            key.name: self.gather("S", self.operator.layout.key_bits(key.name, 0, key.bits))
            for key in self.operator.keys
            if key.name in set(names)
        }

    @abstractmethod
    def share_vector(self) -> RingArray:
        """Compute this operator's share vector."""

    def check_opening(self, opening: RingArray) -> None:  # noqa: B027 - most have no such rule
        """Refuse an opening that cannot be right, whoever computed it."""

    def shares(self, opening: RingArray) -> RingArray | None:  # noqa: ARG002 - most keep nothing
        """Return what this operator keeps of the opened batch: nothing where v is the result."""
        return None
