"""What the security module of an enclave will say of an image: PCR0, 1, 2 and 8.

Each register is SHA-384 over 48 zero bytes and the SHA-384 of

- PCR0: kernel, command line and every ramdisk, as they follow one another in the file;
- PCR1: kernel, command line and the first ramdisk, which boots;
- PCR2: the other ramdisks, which are the application;
- PCR8: the certificate that signed PCR0, in DER; images that nobody signed have none.

Headers and metadata are in none of them, so two images of the same contents measure the same.
Source: the same specification as `eif`, "EIF Measurements".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.files import mapped
from infra.image.eif import Kind, pieces, read_sections
from infra.image.refusals import unreadable
from infra.image.signature import read_signature

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from infra.image.eif import Section
    from infra.image.signature import ImageSignature

__all__ = ["MeasuredImage", "measure", "measure_file"]

INITIAL = bytes(48)
BOOT = (Kind.KERNEL, Kind.COMMAND_LINE)


@dataclass(frozen=True, slots=True)
class MeasuredImage:
    """What is known of an image.

    Attributes:
        sha256: of the whole file.
        size: of the file in bytes.
        pcrs: register by index: 0, 1, 2 and, if it is signed, 8.
        signature: who signed PCR0, None if nobody did.
    """

    sha256: bytes
    size: int
    pcrs: Mapping[int, bytes]
    signature: ImageSignature | None


def measure_file(path: Path) -> MeasuredImage:
    """Return the registers of an image in a file.

    Raises:
        CeremonyError: RF-IMAGE-003 if it cannot be read, or as `measure`.
    """
    try:
        return measure(mapped(path))
    except OSError as error:
        raise unreadable(path, error) from error


def measure(image: memoryview) -> MeasuredImage:
    """Return the registers of an image.

    Raises:
        CeremonyError: RF-IMAGE-001 if it is none, RF-IMAGE-002 if the signature in it is not one
            of its own PCR0.
    """
    sections = read_sections(image)
    pcrs = {
        0: _register(_contents(sections, (*BOOT, Kind.RAMDISK), first=0)),
        1: _register(_boot(sections)),
        2: _register(_contents(sections, (Kind.RAMDISK,), first=1)),
    }
    signed = _contents(sections, (Kind.SIGNATURE,), first=0)
    signature = read_signature(bytes(signed[0]), pcrs[0]) if signed else None
    if signature is not None:
        pcrs[8] = _register([memoryview(signature.certificate)])
    return MeasuredImage(_digest("sha256", [image]), len(image), pcrs, signature)


def _contents(
    sections: Sequence[Section], kinds: Sequence[Kind], *, first: int
) -> list[memoryview]:
    return [section.data for section in sections if section.kind in kinds][first:]


def _boot(sections: Sequence[Section]) -> list[memoryview]:
    """Return what PCR1 is over, in the order of the file."""
    ramdisk = next(section for section in sections if section.kind is Kind.RAMDISK)
    return [section.data for section in sections if section.kind in BOOT or section is ramdisk]


def _register(contents: Sequence[memoryview]) -> bytes:
    return hashlib.sha384(INITIAL + _digest("sha384", contents)).digest()


def _digest(name: str, contents: Sequence[memoryview]) -> bytes:
    digest = hashlib.new(name)
    for data in contents:
        for piece in pieces(data):
            digest.update(piece)
    return digest.digest()
