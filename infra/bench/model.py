"""What a measurement found; the JSON of `ringforge bench` is exactly this, field by field.

Times are CPU times of one thread and medians over the repetitions, so neighbours on the machine
disturb them little. Byte counts are exact: they follow from the layout. Every time stands beside
the time that AES-128-CTR of `cryptography` takes for the same key stream in the same repetitions.
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
    "KernelCost",
    "Machine",
    "OpenedBytes",
    "Rates",
    "Roof",
    "Sizes",
]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        committees: (n, t) of each committee.
        parameters: name of the set whose batches are measured.
        counted: names of the sets whose opened bytes are counted.
        positions: random bits or products of a batch at four operators, at most; at more operators
            fewer, but at least a sixteenth.
        polynomial_size: N of the measured negacyclic product.
        repetitions: how often each time is taken.
        large_bytes: of the arrays with which the memory is measured.
    """

    committees: tuple[tuple[int, int], ...]
    parameters: str
    counted: tuple[str, ...]
    positions: int
    polynomial_size: int
    repetitions: int
    large_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured.

    Attributes:
        system: operating system and architecture.
        cpu: model of the CPU.
        cores: logical cores.
        modes: kernels that this CPU can run, the fastest last.
        python: version of Python.
        libraries: version by name.
    """

    system: str
    cpu: str
    cores: int
    modes: tuple[str, ...]
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
        kind: "random bits" or "products".
        mode: which kernels.
        operators: n.
        threshold: t.
        word_bits: K.
        degree: d of GR(2^K, d).
        items: random bits or products of the batch.
        opened_bytes: bytes of one share vector; exact.
        opened_bytes_per_item: the quotient; what packing rounds up is in it.
        stream_bytes: bytes of the key streams that enter the share vector, those of its zero masks
            included; exact.
        stream_bytes_per_item: the quotient.
        kept_bytes: bytes of the shares that are kept; exact.
        steps_ns: nanoseconds for each item: "share" (keys, PRSS, zero mask, the formula, packing
            and encoding; sums of many streams are written to a file), "open" (2t+1 vectors to v,
            encoded), "check" (v is canonical, and even for bits), "answer" (one sum over a vector),
            "keep" (that file read, or keys and PRSS again; roots; for noise the sum of its bits),
            "store" (what "keep" made, encrypted with AES-256-GCM and written to a file), "hash"
            (with the kernels that hash two leaves at once, where the mode has them) and "write" (of
            one vector).
        whole_ns: share + open + keep + store: the way of a value from its streams to the disk.
        all_ns: with check, answers for vector and v, and both hashed and written.
        aes_ns: nanoseconds for each item to make `stream_bytes` with AES-128-CTR once.
        whole_ratio: whole_ns / aes_ns.
        all_ratio: all_ns / aes_ns.
        challenge_share: part of all_ns that goes into the answers to the challenge.
        two_threads: work of two threads side by side over that of one in the same time, each the
            best of several interleaved runs.
    """

    kind: str
    mode: str
    operators: int
    threshold: int
    word_bits: int
    degree: int
    items: int
    opened_bytes: int
    opened_bytes_per_item: float
    stream_bytes: int
    stream_bytes_per_item: float
    kept_bytes: int
    steps_ns: Mapping[str, float]
    whole_ns: float
    all_ns: float
    aes_ns: float
    whole_ratio: float
    all_ratio: float
    challenge_share: float
    two_threads: float


@dataclass(frozen=True, slots=True)
class KernelCost:
    """One kernel alone.

    Attributes:
        name: "PRSS share" or "negacyclic product".
        mode: which kernels; "any CPU" where they name no instructions.
        operators: n, 0 where it does not matter.
        nanoseconds: for one share or one product.
        stream_bytes: of key or mask stream that enter it.
        aes_ns: AES of these bytes.
        ratio: nanoseconds / aes_ns.
    """

    name: str
    mode: str
    operators: int
    nanoseconds: float
    stream_bytes: int
    aes_ns: float
    ratio: float


@dataclass(frozen=True, slots=True)
class AssemblyCost:
    """What the end of a ceremony costs one operator, computed from measured samples.

    Attributes:
        parameters: name of the parameter set.
        operators: n.
        bodies: bodies of the set; exact.
        shares_seconds: CPU seconds for the shares of all bodies, masks included.
        export_seconds: CPU seconds to rebuild and hash the key files.
    """

    parameters: str
    operators: int
    bodies: int
    shares_seconds: float
    export_seconds: float


@dataclass(frozen=True, slots=True)
class Rates:
    """What one core of this machine does in a nanosecond, measured.

    Attributes:
        aes_blocks: AES-128-CTR of `cryptography`; kernels that encipher in registers can be faster.
        memory_bytes: read or written, of arrays larger than all caches.
        multiply_adds: in double precision, of data in the first cache.
        short_multiply_adds: of 16-bit integers into 32 bits.
        multiplications: of 64-bit integers into 128 bits.
        additions: of 64-bit integers in the first cache.
        sha256_bytes: SHA-256 of `hashlib`, one message at a time; two leaves at once can be faster.
    """

    aes_blocks: float
    memory_bytes: float
    multiply_adds: float
    short_multiply_adds: float
    multiplications: float
    additions: float
    sha256_bytes: float


@dataclass(frozen=True, slots=True)
class Roof:
    """How far a kernel is from what the machine can do at best.

    Attributes:
        batch: the kind, n and K of the batch whose step it is; "" for a kernel alone.
        name: which kernel, or which step of `BatchCost`; "whole" for share + open + keep + store.
        mode: which kernels.
        needs: of each of `Rates` how much one item takes at least.
        bounds_ns: the nanoseconds that each of them takes alone.
        bound: the name of the slowest.
        measured_ns: what the kernel takes.
        distance: measured_ns over the slowest bound.
    """

    batch: str
    name: str
    mode: str
    needs: Mapping[str, float]
    bounds_ns: Mapping[str, float]
    bound: str
    measured_ns: float
    distance: float


@dataclass(frozen=True, slots=True)
class BenchReport:
    """Everything that `ringforge bench` prints.

    Attributes:
        machine: where it was measured.
        repetitions: how often each time was taken.
        aes: speed of AES.
        rates: what one core does at best.
        opened: exact bytes of random bits for whole parameter sets.
        batches: a typical noise batch and a typical product batch of the set, for each committee,
            K and mode.
        kernels: kernels alone.
        assembly: the end of a ceremony of the set, for the first committee.
        roofs: how far kernels are from what the machine can do.
    """

    machine: Machine
    repetitions: int
    aes: AesSpeed
    rates: Rates
    opened: tuple[OpenedBytes, ...]
    batches: tuple[BatchCost, ...]
    kernels: tuple[KernelCost, ...]
    assembly: AssemblyCost
    roofs: tuple[Roof, ...]
