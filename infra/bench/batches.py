"""The whole way of one batch at one operator, step by step (PROTOCOL.md, "Opening a batch")."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from infra.bench.model import BatchCost
from infra.bench.timing import make_stream, median_times
from mpc_core.preprocessing.bits import bit_share_vector, bit_shares, check_parity
from mpc_core.preprocessing.noise import noise_shares
from mpc_core.preprocessing.products import ProductRun, product_share_vector, product_shares
from mpc_core.protocol.merkle import chunk_root
from mpc_core.ring.galois import Ring
from mpc_core.sharing.challenge import answer, challenge, expected_value
from mpc_core.sharing.opening import decode_double, decode_words, encode_words
from mpc_core.sharing.prss import batch_key, prss_ring_share, prss_share
from mpc_core.sharing.sets import sets_of, zero_family
from mpc_core.sharing.zero import zero_mask
from mpc_core.tfhe.objects import public_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mpc_core.preprocessing.batches import BatchLayout, Segment
    from mpc_core.ring.galois import RingArray
    from mpc_core.sharing.prss import StreamKey
    from mpc_core.sharing.sets import OperatorSet
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["BitsBatch", "MeasuredBatch", "ProductsBatch"]

AT = 1
"""The operator that is measured; the work of the others differs in constants only."""

PLAN_HASH = hashlib.sha256(b"bench").digest()
CONTEXT = b"bench"
DIGEST = bytes(32)


@dataclass
class MeasuredBatch(ABC):
    """A batch of degree 2t among a committee whose keys everybody may know."""

    n: int
    t: int
    layout: BatchLayout
    leaf_bytes: int

    @cached_property
    def ring(self) -> Ring:
        """The ring of the batch."""
        return Ring(self.layout.word_bits, self.layout.degree)

    @property
    @abstractmethod
    def items(self) -> int:
        """Random bits or products of the batch."""

    @property
    @abstractmethod
    def streamed_words(self) -> int:
        """Words of each access set's stream that enter a share vector."""

    @abstractmethod
    def share_vector(self, at: int) -> RingArray:
        """Return an operator's share vector, from its stage keys on."""

    @abstractmethod
    def stored_share(self, v: RingArray) -> RingArray:
        """Return what the measured operator keeps of the opened batch, from its stage keys on."""

    @abstractmethod
    def parts(self) -> Mapping[str, Callable[[], object]]:
        """Return parts of the share vector that are measured by themselves."""

    def keys(self, at: int, stream: str) -> dict[OperatorSet, StreamKey]:
        """Derive an operator's batch keys of one stream."""
        return {
            members: batch_key(
                hashlib.sha256(bytes(members)).digest(), CONTEXT, stream, self.layout.word_bits
            )
            for members in sets_of(self.n, self.t, at)
        }

    def encode(self, values: RingArray) -> bytes:
        """Encode a share vector or v."""
        return encode_words(values, self.layout.element_groups, self.ring)

    def decode(self, data: bytes) -> RingArray:
        """Decode a share vector or v."""
        return decode_words(data, self.layout.element_groups, self.ring)

    def open(self, vectors: Mapping[int, bytes]) -> RingArray:
        """Decode v from encoded share vectors."""
        shares = {index: self.decode(data) for index, data in vectors.items()}
        return decode_double(shares, self.t, self.layout.element_groups, self.ring)

    def measure(self, repetitions: int) -> BatchCost:
        """Measure every step of the batch, and AES on the same bytes beside it."""
        groups, ring = self.layout.element_groups, self.ring
        vectors = {at: self.encode(self.share_vector(at)) for at in range(1, 2 * self.t + 2)}
        v = self.open(vectors)
        opening, vector = self.encode(v), self.decode(vectors[AT])
        drawn = challenge(PLAN_HASH, DIGEST, 0, DIGEST)

        def decode() -> None:
            chunk_root(self.encode(self.open(vectors)), self.leaf_bytes)

        def take_opening() -> None:
            chunk_root(opening, self.leaf_bytes)
            check_parity(self.decode(opening), ring) if self.layout.groups else self.decode(opening)

        def answer_challenge() -> None:
            answer(drawn, vector, groups, ring)
            expected_value(drawn, v, groups, ring)

        steps: dict[str, Callable[[], object]] = {
            "share_vector": lambda: self.share_vector(AT),
            "encode": lambda: self.encode(vector),
            "merkle_root": lambda: chunk_root(vectors[AT], self.leaf_bytes),
            "decode": decode,
            "take_opening": take_opening,
            "answer": answer_challenge,
            "stored_share": lambda: self.stored_share(v),
        }
        parts = self.parts()
        streams = self.stream_bytes
        taken = median_times({"aes": lambda: make_stream(streams), **parts, **steps}, repetitions)
        taken["decode"] /= self.n
        per_item = {name: nanoseconds / self.items for name, nanoseconds in taken.items()}
        total = sum(per_item[name] for name in steps)
        return BatchCost(
            operators=self.n,
            threshold=self.t,
            word_bits=ring.bits,
            degree=ring.degree,
            items=self.items,
            opened_bytes=len(opening),
            opened_bytes_per_item=len(opening) / self.items,
            stream_bytes=streams,
            steps_ns={name: per_item[name] for name in steps},
            share_vector_parts_ns={name: per_item[name] for name in parts},
            total_ns=total,
            aes_ns=per_item["aes"],
            ratio_to_aes=total / per_item["aes"],
        )

    @property
    def stream_bytes(self) -> int:
        """Key stream bytes of a share vector: one word for each secret and each mask."""
        sets = len(sets_of(self.n, self.t, AT))
        family = sum(AT in members for members in zero_family(self.n, self.t))
        masks = self.layout.elements * self.layout.degree
        return (sets * self.streamed_words + family * masks) * self.layout.word_bits // 8


@dataclass
class BitsBatch(MeasuredBatch):
    """A batch of stage N: random bits that add up to noise."""

    @property
    def items(self) -> int:
        """Random bits."""
        return self.layout.bits

    @property
    def streamed_words(self) -> int:
        """One word for each bit."""
        return self.layout.bits

    def share_vector(self, at: int) -> RingArray:
        """Return masked x^2 + x, packed by weight."""
        bits, zeros = self.keys(at, "bits"), self.keys(at, "zero")
        return bit_share_vector(bits, zeros, at, self.layout.groups, self.ring)

    def stored_share(self, v: RingArray) -> RingArray:
        """Return the shares of the noise."""
        shares = bit_shares(self.keys(AT, "bits"), AT, self.layout.groups, v, self.ring)
        return noise_shares(shares, self.layout.segments, self.ring)

    def parts(self) -> Mapping[str, Callable[[], object]]:
        """Return the derivation of the keys, the PRSS and the zero masks."""
        bits, zeros = self.keys(AT, "bits"), self.keys(AT, "zero")
        return {
            "keys": lambda: (self.keys(AT, "bits"), self.keys(AT, "zero")),
            "prss": lambda: prss_share(bits, AT, self.layout.bits, self.ring),
            "zero_mask": lambda: zero_mask(zeros, AT, self.layout.elements, self.ring),
        }


@dataclass
class ProductsBatch(MeasuredBatch):
    """A batch of stage M, on key shares that are zero: no step depends on their values."""

    parameters: Parameters

    @property
    def items(self) -> int:
        """Products s_i S_j."""
        return sum(run.count * run.row_length for run in self.runs)

    @property
    def streamed_words(self) -> int:
        """D words for each packed element."""
        return self.layout.elements * self.layout.degree

    @cached_property
    def runs(self) -> tuple[ProductRun, ...]:
        """The operands."""
        return tuple(self._run(segment) for segment in self.layout.segments)

    def share_vector(self, at: int) -> RingArray:
        """Return masked products, packed row by row."""
        masks, zeros = self.keys(at, "product"), self.keys(at, "zero")
        return product_share_vector(masks, zeros, at, self.runs, self.ring)

    def stored_share(self, v: RingArray) -> RingArray:
        """Return the packed shares of the products."""
        return product_shares(self.keys(AT, "product"), AT, v, self.ring)

    def parts(self) -> Mapping[str, Callable[[], object]]:
        """Return the derivation of the keys, the PRSS and the zero masks."""
        masks, zeros = self.keys(AT, "product"), self.keys(AT, "zero")
        return {
            "keys": lambda: (self.keys(AT, "product"), self.keys(AT, "zero")),
            "prss": lambda: prss_ring_share(masks, AT, self.layout.elements, self.ring),
            "zero_mask": lambda: zero_mask(zeros, AT, self.layout.elements, self.ring),
        }

    def _run(self, segment: Segment) -> ProductRun:
        item = public_object(self.parameters, segment.item)
        assert item.product is not None
        polynomials, length = item.mask_polynomials, item.product.row_length
        inputs = (segment.start + segment.count - 1) // polynomials - segment.start // polynomials
        return ProductRun(
            inputs=self.ring.zeros(inputs + 1),
            target=self.ring.zeros(polynomials * length),
            row_length=length,
            first=segment.start,
            count=segment.count,
        )
