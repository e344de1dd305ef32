"""Compact ciphertext lists: what people encrypt with the compact public key, and its file format.

A list of up to n ciphertexts shares one mask polynomial a: ciphertext j has the mask a X^j, so a
list is ceil(count / n) masks and one body per ciphertext. A value is cut into blocks of two bits;
a packed list carries two consecutive blocks in a ciphertext, the first in the low bits.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.codec import TAG_LIMIT, Input, header, modulus, number, size, versions
from mpc_core.tfhe.parameters import CARRY_MODULUS, MESSAGE_MODULUS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mpc_core.tfhe.codec import Constants
    from mpc_core.tfhe.parameters import Parameters

__all__ = [
    "BOOLEAN",
    "CIPHERTEXT_LIMIT",
    "LIST_LIMIT",
    "VALUE_BITS",
    "CompactList",
    "parse_compact_list",
    "serialize_compact_list",
]

CIPHERTEXT_LIMIT = 4096
"""Most ciphertexts, and most values, of a list that is read."""

BOOLEAN = 1
"""Size in bits by which `CompactList.kinds` names a boolean."""

LIST_LIMIT = 1 << 20
"""Most bytes of a list that is read; one with as much as possible of everything has less."""

VALUE_BITS = (8, 16, 32, 64)
"""Sizes of the unsigned integers that a list may hold."""

BLOCK_BITS = 2
_UNSIGNED, _BOOLEAN = 0, 2
_PROVEN, _HEADER_BYTES = b"::ProvenCompactCiphertextList", 128


@dataclass(frozen=True, slots=True)
class CompactList:
    """A compact ciphertext list.

    Attributes:
        masks: mask polynomials, shape (ceil(count / n), n).
        bodies: one per ciphertext, shape (count,).
        packed: whether a ciphertext carries two blocks.
        kinds: size in bits of each value; `BOOLEAN` for a boolean.
        tag: tag of the key it was made with.
    """

    masks: NDArray[np.uint64]
    bodies: NDArray[np.uint64]
    packed: bool
    kinds: tuple[int, ...]
    tag: bytes

    @property
    def count(self) -> int:
        """Number of ciphertexts; each takes one opening to decrypt."""
        return self.bodies.size

    @property
    def blocks(self) -> int:
        """Number of blocks of all values."""
        return sum(blocks_of(kind) for kind in self.kinds)


def blocks_of(kind: int) -> int:
    """Return the number of blocks of a value."""
    return -(-kind // BLOCK_BITS)


def ciphertexts_of(kinds: tuple[int, ...], *, packed: bool) -> int:
    """Return how many ciphertexts hold values of these kinds."""
    blocks = sum(blocks_of(kind) for kind in kinds)
    return -(-blocks // 2) if packed else blocks


class _Output:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def constant(self, data: bytes) -> None:
        self.pieces.append(data)


def _opening(sink: Constants) -> None:
    header(sink, "CompactCiphertextList")
    versions(sink, 1, 1, 2, 0)


def _middle(sink: Constants, parameters: Parameters, count: int) -> None:
    number(sink, parameters.compact.lwe_dimension + 1, count)
    modulus(sink, 64)


def _moduli(sink: Constants) -> None:
    number(sink, MESSAGE_MODULUS, CARRY_MODULUS)
    versions(sink, 1, 0)


def serialize_compact_list(parameters: Parameters, ciphertexts: CompactList) -> bytes:
    """Return the bytes that tfhe-rs 1.7 writes for a list."""
    output = _Output()
    _opening(output)
    size(output, ciphertexts.masks.size + ciphertexts.count)
    output.constant(ciphertexts.masks.astype("<u8").tobytes())
    output.constant(ciphertexts.bodies.astype("<u8").tobytes())
    _middle(output, parameters, ciphertexts.count)
    number(output, _degree(packed=ciphertexts.packed))
    _moduli(output)
    size(output, len(ciphertexts.kinds))
    for kind in ciphertexts.kinds:
        if kind == BOOLEAN:
            versions(output, 1, _BOOLEAN)
        else:
            versions(output, 1, _UNSIGNED)
            size(output, blocks_of(kind))
    output.constant(struct.pack("<IQ", 0, len(ciphertexts.tag)) + ciphertexts.tag)
    return b"".join(output.pieces)


def parse_compact_list(parameters: Parameters, data: bytes) -> CompactList:
    """Read a list of booleans and unsigned integers, as tfhe-rs 1.7 writes it without a proof.

    Args:
        parameters: the parameter set of the key it should have been made with.
        data: the whole file; untrusted.

    Raises:
        CeremonyError: RF-TFHE-002 for anything else, before more than the file's own size is
            allocated.
    """
    source = Input(data, _refusal)
    if _PROVEN in data[:_HEADER_BYTES]:
        raise source.refusal("a list without a proof of encryption", "a list with one")
    _opening(source)
    dimension = parameters.compact.lwe_dimension
    length = source.length(2 * CIPHERTEXT_LIMIT + dimension, "words")
    count, masks = _split(source, length, dimension)
    mask_words = source.array(masks * dimension, 64).reshape(masks, dimension)
    bodies = source.array(count, 64)
    _middle(source, parameters, count)
    versions(source, 0)
    degree = source.length(_degree(packed=True), "as degree")
    if degree not in {_degree(packed=False), _degree(packed=True)}:
        raise source.refusal("degree 3, or 15 when packed", f"{degree}")
    packed = degree == _degree(packed=True)
    _moduli(source)
    values = source.length(CIPHERTEXT_LIMIT, "values")
    kinds = tuple(_kind(source) for _ in range(values))
    if ciphertexts_of(kinds, packed=packed) != count:
        raise source.refusal("as many ciphertexts as the values need", f"{count}")
    versions(source, 0)
    tag = bytes(source.take(source.length(TAG_LIMIT, "bytes of a tag")))
    source.finish()
    return CompactList(mask_words, bodies, packed, kinds, tag)


def _degree(*, packed: bool) -> int:
    return MESSAGE_MODULUS * MESSAGE_MODULUS - 1 if packed else MESSAGE_MODULUS - 1


def _split(source: Input, length: int, dimension: int) -> tuple[int, int]:
    """Return how many ciphertexts and masks a number of words holds: each mask serves n bodies."""
    masks = -(-length // (2 * dimension))
    count = length - masks * dimension
    if not 0 < count <= CIPHERTEXT_LIMIT or -(-count // dimension) != masks:
        raise source.refusal(f"masks of {dimension} words and a body each", f"{length} words")
    return count, masks


def _kind(source: Input) -> int:
    versions(source, 1)
    variant = int.from_bytes(source.take(4), "little")
    if variant == _BOOLEAN:
        return BOOLEAN
    if variant != _UNSIGNED:
        raise source.refusal("booleans and unsigned integers", f"type {variant}")
    bits = BLOCK_BITS * source.length(max(VALUE_BITS) // BLOCK_BITS, "blocks")
    if bits not in VALUE_BITS:
        raise source.refusal(f"unsigned integers of {VALUE_BITS} bits", f"{bits} bits")
    return bits


def _refusal(position: int, expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        "RF-TFHE-002",
        f"the file is not a compact ciphertext list for this key (byte {position})",
        expected=expected,
        found=found,
        effect="nothing is decrypted",
        next_step="encrypt booleans or FheUint8 to FheUint64, without a proof, with tfhe-rs 1.7 "
        "and this key set's CompactPublicKey",
        runbook="start",
    )
