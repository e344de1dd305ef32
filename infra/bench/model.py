"""What a measurement found; the JSON of `ringforge bench` is exactly this, field by field.

Times are CPU times of one thread and medians over the repetitions, so neighbours on the machine
disturb them little. Byte counts are exact: they follow from the layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AesSpeed",
    "AssemblyCost",
    "BatchCost",
    "BenchReport",
    "Machine",
    "OpenedBytes",
    "Sizes",
]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        committees: (n, t) of each committee.
        parameters: name of the set whose batches are measured.
        counted: names of the sets whose opened bytes are counted.
        bits: random bits of a batch, at most.
        products: products of a batch, at most.
        repetitions: how often each time is taken.
        assembly_rows: rows of each object that are assembled, at most; None for all.
    """

    committees: tuple[tuple[int, int], ...]
    parameters: str
    counted: tuple[str, ...]
    bits: int
    products: int
    repetitions: int
    assembly_rows: int | None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured.

    Attributes:
        system: operating system and architecture.
        cpu: model of the CPU.
        cores: logical cores.
        python: version of Python.
        libraries: version by name.
    """

    system: str
    cpu: str
    cores: int
    python: str
    libraries: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AesSpeed:
    """AES-128-CTR of `cryptography` in one thread.

    Attributes:
        piece_bytes: bytes of one call.
        gigabytes_per_second: 10^9 bytes of key stream a second.
    """

    piece_bytes: int
    gigabytes_per_second: float


@dataclass(frozen=True, slots=True)
class OpenedBytes:
    """What one operator's share vectors of all random bits of a key set hold; exact.

    Attributes:
        parameters: name of the parameter set.
        operators: n.
        word_bits: K of the batches that are counted.
        bits: random bits of the key set in that ring, without reserved floods.
        opened_bytes: bytes of their share vectors.
        opened_bytes_per_bit: the quotient.
    """

    parameters: str
    operators: int
    word_bits: int
    bits: int
    opened_bytes: int
    opened_bytes_per_bit: float


@dataclass(frozen=True, slots=True)
class BatchCost:
    """What one batch costs one operator, from its keys to what it keeps.

    Attributes:
        operators: n.
        threshold: t.
        word_bits: K.
        degree: d of GR(2^K, d).
        items: random bits or products of the batch.
        opened_bytes: bytes of one share vector; exact.
        opened_bytes_per_item: the quotient; what packing rounds up is in it.
        stream_bytes: bytes of the key streams that enter the share vector.
        steps_ns: nanoseconds for each item: "share_vector" (keys, PRSS, zero mask, the formula);
            "encode"; "merkle_root"; "decode" (2t+1 vectors to v, its encoding and root, divided by
            n, since operators take turns); "take_opening" (root and decoding of the v of another);
            "answer" (to the challenge, and the expected value); "stored_share" (keys and PRSS
            again, roots; for noise the sum of its bits).
        share_vector_parts_ns: what of "share_vector" is "keys", "prss" and "zero_mask", each
            measured by itself; the rest is the formula and the packing.
        total_ns: sum of `steps_ns`.
        aes_ns: nanoseconds for each item to make `stream_bytes` with AES-128-CTR once.
        ratio_to_aes: total_ns / aes_ns.
    """

    operators: int
    threshold: int
    word_bits: int
    degree: int
    items: int
    opened_bytes: int
    opened_bytes_per_item: float
    stream_bytes: int
    steps_ns: Mapping[str, float]
    share_vector_parts_ns: Mapping[str, float]
    total_ns: float
    aes_ns: float
    ratio_to_aes: float


@dataclass(frozen=True, slots=True)
class AssemblyCost:
    """What the shares of all bodies of a parameter set cost one operator.

    Attributes:
        parameters: name of the parameter set.
        operators: n.
        bodies: bodies that were assembled.
        seconds: CPU seconds, mask generation included.
    """

    parameters: str
    operators: int
    bodies: int
    seconds: float


@dataclass(frozen=True, slots=True)
class BenchReport:
    """Everything that `ringforge bench` prints.

    Attributes:
        machine: where it was measured.
        repetitions: how often each time was taken.
        aes: speed of AES.
        opened: exact bytes of random bits for whole parameter sets.
        bits: a typical noise batch of the set `mainnet`, for each committee and K.
        products: a typical product batch of it, for each committee and K.
        assembly: assembly of the set `test`, for each committee.
    """

    machine: Machine
    repetitions: int
    aes: AesSpeed
    opened: tuple[OpenedBytes, ...]
    bits: tuple[BatchCost, ...]
    products: tuple[BatchCost, ...]
    assembly: tuple[AssemblyCost, ...]
