"""The part that all batches share: ring, keys, encoding, and what earlier batches left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mpc_core.sharing.challenge import answer_for
from mpc_core.sharing.opening import (
    decode_words,
    encode_words,
    fitting_in,
    open_double,
    open_single,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from activities.operator import Operator
    from activities.ports import SumsCache
    from mpc_core.preprocessing.batches import BatchLayout, Place
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.context import BatchContext
    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.sharing.challenge import Challenge
    from mpc_core.sharing.opening import Buffer, Pieces
    from mpc_core.sharing.prss import StreamKey

__all__ = ["BatchWork", "Earlier", "WholeWork"]


class Earlier(Protocol):
    """What earlier batches left: this operator's shares and the public openings."""

    def shares(self, key: BatchKey) -> RingArray:
        """Return this operator's stored shares of a batch; recomputed when they are missing."""
        ...

    def opening(self, key: BatchKey) -> memoryview:
        """Return the public opening of a batch; fetched when it is not here."""
        ...


@dataclass
class BatchWork(ABC):
    """One operator's work on one batch under one context.

    Share vectors and openings are handled in their canonical encoding, which may be much larger
    than a cache or, in all, than the memory: they come and go in pieces or as mapped files.
    """

    operator: Operator
    batch: BatchLayout
    context: BatchContext
    earlier: Earlier
    revealed: Callable[[str], dict[tuple[int, ...], StreamKey]] | None = None
    """Batch keys that were posted for a burnt batch; otherwise they come from the stage keys."""

    cache: SumsCache | None = None
    """Where sums are noted for later, and found again; None for neither."""

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
        """Return this operator's batch keys of one stream."""
        if self.revealed is not None:
            return self.revealed(stream)
        stage_keys = self.operator.stage_keys(self.batch.stage)
        return stage_keys.batch_keys(self.context_bytes, stream, self.batch.word_bits)

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
    def share_pieces(self) -> Pieces:
        """Compute this operator's share vector, piece by piece."""

    def open_pieces(self, vectors: Mapping[int, Buffer]) -> Pieces:
        """Interpolate the opened value from share vectors by operator, piece by piece.

        Raises:
            CeremonyError: RF-BATCH-002 to -006, when a vector is not canonical or, at degree t,
                they do not lie on one polynomial.
        """
        plan, groups = self.operator.plan, self.batch.element_groups
        if self.batch.opening == "double":
            return open_double(vectors, plan.threshold, groups, self.ring)
        return open_single(vectors, plan.threshold, plan.quorum, groups, self.ring)

    def fitting(self, vectors: Mapping[int, Buffer]) -> tuple[int, ...]:
        """Return whose vectors of a degree-t opening lie on the polynomial that n-t of them fit.

        A vector that is not canonical lies on none.
        """
        plan, groups = self.operator.plan, self.batch.element_groups
        return fitting_in(vectors, plan.threshold, plan.quorum, groups, self.ring)

    def answer(self, drawn: Challenge, vector: Buffer) -> bytes:
        """Return Y_i of this operator's share vector."""
        return answer_for(drawn, vector, self.batch.element_groups, self.ring)

    def check_opening(self, opening: Buffer) -> None:
        """Refuse an opening that cannot be right, whoever computed it.

        Raises:
            CeremonyError: RF-BATCH-002 or -003, when it is not canonical; what the purpose adds.
        """
        decode_words(opening, self.batch.element_groups, self.ring)

    def shares(self, opening: Buffer) -> RingArray | None:  # noqa: ARG002 - most keep nothing
        """Return what this operator keeps of the opened batch: nothing where v is the result."""
        return None

    def _encoded(self, values: RingArray) -> Iterator[Buffer]:
        yield encode_words(values, self.batch.element_groups, self.ring)


class WholeWork(BatchWork):
    """Work on a batch whose share vector is small enough to be computed at once."""

    def share_pieces(self) -> Pieces:
        """Compute this operator's share vector; it is one piece."""
        return self._encoded(self.share_vector())

    @abstractmethod
    def share_vector(self) -> RingArray:
        """Compute this operator's share vector."""
