"""The bytes that tfhe-rs writes: bincode 1 with fixed integers, inside versioned types.

A file format is described once, as a function that walks over its fields with a `Sink`. Given a
`Writer` the walk writes the file, given a `Reader` it reads one and refuses whatever the parameter
set does not prescribe: the reader of a key file accepts exactly the bytes that the writer writes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.bodies import pieces_of
from mpc_core.tfhe.objects import public_object
from mpc_core.tfhe.xof import GENERATION, SEED_BYTES, mask_rows, mask_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from mpc_core.tfhe.objects import PublicObject
    from mpc_core.tfhe.parameters import Parameters

__all__ = [
    "TAG_LIMIT",
    "Constants",
    "Input",
    "Reader",
    "Sink",
    "Writer",
    "header",
    "item_of",
    "modulus",
    "noise",
    "number",
    "real",
    "size",
    "some",
    "versions",
]

TAG_LIMIT = 1024
"""Longest tag in a key file; a ceremony identifier takes 16 to 32 bytes."""

_NARROW = 64


class Constants(Protocol):
    """Where prescribed bytes go, or are compared."""

    def constant(self, data: bytes) -> None:
        """Pass bytes that the parameter set prescribes."""


class Sink(Constants, Protocol):
    """What a walk over a key file calls, field by field."""

    parameters: Parameters

    def words(self, item: PublicObject) -> None:
        """Pass the bodies of an object."""

    def masks(self, item: PublicObject) -> None:
        """Pass the masks of an object."""

    def seed(self) -> None:
        """Pass the seed with its domain separator, as a byte vector."""

    def tag(self) -> None:
        """Pass the tag of the key set, a newtype of a byte vector."""


def versions(sink: Constants, *indices: int) -> None:
    """Pass version indices or enum variants, 32 bits each."""
    sink.constant(struct.pack(f"<{len(indices)}I", *indices))


def size(sink: Constants, value: int) -> None:
    """Pass a length or plain 64-bit number."""
    sink.constant(struct.pack("<Q", value))


def number(sink: Constants, *values: int) -> None:
    """Pass newtypes of one 64-bit number, version 0."""
    for value in values:
        sink.constant(struct.pack("<IQ", 0, value))


def real(sink: Constants, *values: float) -> None:
    """Pass newtypes of one double, version 0."""
    for value in values:
        sink.constant(struct.pack("<Id", 0, value))


def some(sink: Constants, *, present: bool) -> None:
    """Pass the tag byte of an `Option`."""
    sink.constant(bytes([present]))


def modulus(sink: Constants, word_bits: int) -> None:
    """Pass a native ciphertext modulus."""
    sink.constant(struct.pack("<I16xQ", 0, word_bits))


def noise(sink: Constants, bound_log2: int) -> None:
    """Pass the distribution TUniform(bound_log2)."""
    versions(sink, 0, 1, 0, bound_log2)


def header(sink: Constants, name: str) -> None:
    """Pass the header of a safe-serialised file."""
    for text in ("0.5", None, "0.1", f"high_level_api::{name}"):
        if text is None:
            versions(sink, 0)
        else:
            size(sink, len(text))
            sink.constant(text.encode())


class Writer:
    """Writes a file from seed, tag and bodies.

    Args:
        parameters: the parameter set.
        seed: public seed, 16 bytes.
        tag: tag of the key set.
        bodies: by object number, shape (bodies,), or (bodies, 2) for 128-bit objects; opened
            bodies are read piece by piece.
        write: takes the file, piece by piece.
    """

    def __init__(
        self,
        parameters: Parameters,
        seed: bytes,
        tag: bytes,
        bodies: Mapping[int, NDArray[np.uint64]],
        *,
        write: Callable[[bytes], object],
    ) -> None:
        assert len(seed) == SEED_BYTES
        assert len(tag) <= TAG_LIMIT
        self.parameters = parameters
        self._stream = mask_stream(seed)
        self._tag = tag
        self._bodies = bodies
        self._write = write

    def constant(self, data: bytes) -> None:
        """Write prescribed bytes."""
        self._write(data)

    def words(self, item: PublicObject) -> None:
        """Write bodies."""
        passed = 0
        for piece in pieces_of(self._bodies, item.number):
            self._write(piece.astype("<u8", copy=False).tobytes())
            passed += piece.size
        assert passed == item.bodies * item.word_bits // _NARROW

    def masks(self, item: PublicObject) -> None:
        """Write masks, made from the seed."""
        self._write(mask_rows(self._stream, item, 0, item.rows).astype("<u8").tobytes())

    def seed(self) -> None:
        """Write the seed."""
        self._write(struct.pack("<Q", len(self._stream.data)) + self._stream.data)

    def tag(self) -> None:
        """Write the tag."""
        self._write(struct.pack("<IQ", 0, len(self._tag)) + self._tag)


class Input:
    """Takes bytes from the front of a file and refuses what should not be there.

    Lengths are checked against what is left before anything is allocated.
    """

    def __init__(
        self, data: bytes | memoryview, refuse: Callable[[int, str, str], CeremonyError]
    ) -> None:
        self._data = memoryview(data)
        self._refuse = refuse
        self._at = 0

    def refusal(self, expected: str, found: str) -> CeremonyError:
        """Return the error for what stands before the current position."""
        return self._refuse(self._at, expected, found)

    def constant(self, data: bytes) -> None:
        """Demand prescribed bytes."""
        found = self.take(len(data))
        if found != data:
            raise self.refusal(data.hex(), bytes(found).hex())

    def take(self, count: int) -> memoryview:
        """Take the next bytes."""
        if count > len(self._data) - self._at:
            raise self.refusal(f"{count} more bytes", f"{len(self._data) - self._at}")
        self._at += count
        return self._data[self._at - count : self._at]

    def length(self, limit: int, what: str) -> int:
        """Take a length of at most `limit`."""
        value = int.from_bytes(self.take(8), "little")
        if value > limit:
            raise self.refusal(f"at most {limit} {what}", f"{value}")
        return value

    def array(self, count: int, word_bits: int) -> NDArray[np.uint64]:
        """Take words, shape (count,) or (count, 2)."""
        flat = np.frombuffer(self.take(count * word_bits // 8), dtype="<u8").astype(np.uint64)
        return flat if word_bits == _NARROW else flat.reshape(count, 2)

    def finish(self) -> None:
        """Demand that nothing follows."""
        if self._at != len(self._data):
            raise self.refusal("the end of the file", f"{len(self._data) - self._at} more bytes")


class Reader(Input):
    """Reads seed, tag, bodies and masks back, and refuses anything not prescribed.

    Attributes:
        bodies: what `words` passed, by object number.
        mask_words: what `masks` passed, by object number.
        seed_bytes: the seed, once it was passed.
        tag_bytes: the tag, once it was passed.
    """

    def __init__(self, parameters: Parameters, data: bytes | memoryview, name: str) -> None:
        super().__init__(data, self._refusal)
        self.parameters = parameters
        self.bodies: dict[int, NDArray[np.uint64]] = {}
        self.mask_words: dict[int, NDArray[np.uint64]] = {}
        self.seed_bytes: bytes | None = None
        self.tag_bytes: bytes | None = None
        self._name = name

    def words(self, item: PublicObject) -> None:
        """Read bodies."""
        self.bodies[item.number] = self.array(item.bodies, item.word_bits)

    def masks(self, item: PublicObject) -> None:
        """Read masks."""
        words = self.array(item.rows * item.row_mask_words, item.word_bits)
        self.mask_words[item.number] = words

    def seed(self) -> None:
        """Read the seed, which is the same wherever it stands."""
        self.constant(struct.pack("<Q", len(GENERATION) + SEED_BYTES) + GENERATION)
        found = bytes(self.take(SEED_BYTES))
        if self.seed_bytes not in {None, found}:
            raise self.refusal("one seed", "two")
        self.seed_bytes = found

    def tag(self) -> None:
        """Read the tag, which is the same wherever it stands."""
        versions(self, 0)
        found = bytes(self.take(self.length(TAG_LIMIT, "bytes of a tag")))
        if self.tag_bytes not in {None, found}:
            raise self.refusal("one tag", "two")
        self.tag_bytes = found

    def _refusal(self, position: int, expected: str, found: str) -> CeremonyError:
        return CeremonyError(
            "RF-TFHE-001",
            f"{self._name} is not a file of parameter set {self.parameters.name} (byte {position})",
            expected=expected,
            found=found,
            effect="the file is refused",
            next_step="fetch the key set again and run `ringforge verify`",
            runbook="verification-failed",
        )


def item_of(sink: Sink, object_number: int) -> PublicObject:
    """Return an object of the set that is being written or read."""
    return public_object(sink.parameters, object_number)
