"""Enclave image files: a header and sections, as AWS specifies them.

```
header (548 bytes, big-endian): ".eif", version, flags, default memory and CPUs, 32 offsets,
    32 sizes, CRC-32 of everything but itself
section: type, flags, size (12 bytes), then the data; one behind the other
```
Source: aws/aws-nitro-enclaves-image-format, README.md, "Enclave Image File (EIF) Specification",
2024-06-21. Where it leaves room that no tool uses (gaps, flags, reserved fields), an image that
uses it is refused: the offsets in the header and the order of the sections could then tell two
stories, and the registers would be those of one of them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from infra.image.refusals import image_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mpc_core.protocol.errors import CeremonyError

__all__ = ["MOST_IMAGE_BYTES", "Kind", "Section", "pieces", "read_sections", "write_image"]

MOST_IMAGE_BYTES = 1 << 34
"""No enclave has the memory for a larger image."""

MAGIC = b".eif"
VERSION = 4
READABLE = (2, 3, 4)
"""Versions with these sections; version 4 must have metadata."""

AARCH64 = 1
"""The one flag of the header: the processor is not an x86_64."""

SLOTS = 32
LEAST_SECTIONS = 2
HEADER = struct.Struct(f">4sHHQQHH{SLOTS}Q{SLOTS}QII")
SECTION = struct.Struct(">HHQ")
CRC_BYTES = 4
MOST_SIGNATURE_BYTES = 32_768
MOST_METADATA_BYTES = 1 << 20
PIECE = 1 << 20

DEFAULT_MEMORY = 1 << 30
DEFAULT_CPUS = 2
"""What the header proposes, as AWS's tools write it; nobody reads it."""


class Kind(IntEnum):
    """What a section holds."""

    KERNEL = 1
    COMMAND_LINE = 2
    RAMDISK = 3
    SIGNATURE = 4
    METADATA = 5


KINDS = frozenset(Kind)
MOST_OF = {Kind.SIGNATURE: MOST_SIGNATURE_BYTES, Kind.METADATA: MOST_METADATA_BYTES}


@dataclass(frozen=True, slots=True)
class Section:
    """A section of an image; the data may be a view of a file."""

    kind: Kind
    data: memoryview


def pieces(data: memoryview) -> Iterator[memoryview]:
    """Yield data in pieces that a hash takes at a time."""
    return (data[at : at + PIECE] for at in range(0, len(data), PIECE))


def read_sections(image: memoryview) -> tuple[Section, ...]:
    """Return the sections of an image, whose form and checksum are right.

    Raises:
        CeremonyError: RF-IMAGE-001 if it is none, or not in the one form that tools write.
    """
    if not HEADER.size <= len(image) <= MOST_IMAGE_BYTES:
        raise _malformed(f"{HEADER.size} to {MOST_IMAGE_BYTES} bytes", f"{len(image)} bytes")
    magic, version, flags, _, _, reserved, count, *rest = HEADER.unpack_from(image)
    offsets, sizes, (unused, checksum) = rest[:SLOTS], rest[SLOTS : 2 * SLOTS], rest[2 * SLOTS :]
    if magic != MAGIC or version not in READABLE:
        raise _malformed(f".eif of version {READABLE[0]} to {READABLE[-1]}", "other bytes")
    if flags & ~AARCH64 or reserved or unused:
        raise _malformed("zero in every reserved field", "another value")
    if not LEAST_SECTIONS <= count <= SLOTS or any(offsets[count:]) or any(sizes[count:]):
        raise _malformed(f"{LEAST_SECTIONS} to {SLOTS} sections", f"{count}, or more than are said")
    sections = tuple(_sections(image, offsets[:count], sizes[:count]))
    _check_kinds([section.kind for section in sections], version)
    if _checksum(image) != checksum:
        raise _malformed(f"CRC-32 {checksum:08x}", f"{_checksum(image):08x}")
    return sections


def write_image(sections: Iterable[Section]) -> Iterator[memoryview]:
    """Yield an image for x86_64 of these sections; the same sections give the same bytes.

    Raises:
        CeremonyError: RF-IMAGE-001 if these sections are no image.
    """
    listed = tuple(sections)
    _check_kinds([section.kind for section in listed], VERSION)
    sizes = [len(section.data) for section in listed]
    offsets, at = [], HEADER.size
    for size in sizes:
        offsets.append(at)
        at += SECTION.size + size
    empty = [0] * (SLOTS - len(listed))
    numbers = (DEFAULT_MEMORY, DEFAULT_CPUS, 0, len(listed), *offsets, *empty, *sizes, *empty, 0)
    header = HEADER.pack(MAGIC, VERSION, 0, *numbers, 0)[:-CRC_BYTES]
    body = [
        piece
        for section in listed
        for piece in (memoryview(SECTION.pack(section.kind, 0, len(section.data))), section.data)
    ]
    checksum = zlib.crc32(header)
    for data in body:
        for piece in pieces(data):
            checksum = zlib.crc32(piece, checksum)
    yield memoryview(header + checksum.to_bytes(CRC_BYTES, "big"))
    yield from body


def _sections(image: memoryview, offsets: list[int], sizes: list[int]) -> Iterator[Section]:
    """Yield the sections, which must lie one behind the other to the end of the file."""
    at = HEADER.size
    for offset, size in zip(offsets, sizes, strict=True):
        if offset != at or size > len(image) - at - SECTION.size:
            raise _malformed("sections one behind the other", f"one at {offset} of {size} bytes")
        kind, flags, said = SECTION.unpack_from(image, at)
        if kind not in KINDS or flags or said != size:
            raise _malformed("a section header that repeats its size", f"another at {offset}")
        if size > MOST_OF.get(Kind(kind), MOST_IMAGE_BYTES):
            raise _malformed(f"a shorter {Kind(kind).name.lower()}", f"{size} bytes")
        at += SECTION.size
        yield Section(Kind(kind), image[at : at + size])
        at += size
    if at != len(image):
        raise _malformed(f"{at} bytes", f"{len(image)} bytes")


def _check_kinds(kinds: list[Kind], version: int) -> None:
    """Check that an image has what a machine boots from, and nothing twice but ramdisks."""
    found = {kind: kinds.count(kind) for kind in Kind}
    single = found[Kind.KERNEL] == found[Kind.COMMAND_LINE] == 1 and found[Kind.RAMDISK] >= 1
    described = found[Kind.METADATA] == 1 or (version < VERSION and not found[Kind.METADATA])
    if not single or not described or found[Kind.SIGNATURE] > 1 or len(kinds) > SLOTS:
        shown = ", ".join(kind.name.lower() for kind in kinds)
        raise _malformed("a kernel, a command line, ramdisks and metadata", shown)
    if kinds.index(Kind.RAMDISK) < kinds.index(Kind.KERNEL):
        raise _malformed("the kernel before the ramdisks", "a ramdisk before it")


def _checksum(image: memoryview) -> int:
    checksum = zlib.crc32(image[: HEADER.size - CRC_BYTES])
    for piece in pieces(image[HEADER.size :]):
        checksum = zlib.crc32(piece, checksum)
    return checksum


def _malformed(expected: str, found: str) -> CeremonyError:
    return image_error(
        "RF-IMAGE-001",
        "the file is not an enclave image",
        expected,
        found,
        "build the image again, or fetch it again",
        effect="nothing was measured",
    )
