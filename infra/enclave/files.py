"""Documents in files: as they come from the device, or in base64."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from infra.enclave.cose import MOST_BYTES
from infra.enclave.refusals import attestation_error, malformed_document

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["decode_file", "read_file"]

MOST_TEXT = 2 * MOST_BYTES
"""Base64 takes a third more, and line ends."""

ARRAY_OF_FOUR = b"\x84"
"""How every document begins; no base64 does."""


def read_file(path: Path, most: int = MOST_TEXT) -> bytes:
    """Return the bytes of a file; of one that is longer than `most`, one byte more than that.

    Raises:
        CeremonyError: RF-ATTEST-012 if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise attestation_error(
            "RF-ATTEST-012",
            f"{path} cannot be read",
            "a readable file",
            error.strerror or type(error).__name__,
            "check the path",
            effect="nothing was checked",
        ) from error


def decode_file(data: bytes) -> bytes:
    """Return the document in the bytes of a file: the bytes themselves, or what they encode.

    Base64 is that of RFC 4648, section 4, in one line or in lines of one length, and has one form:
    every other text, even with the same meaning, is refused.

    Raises:
        CeremonyError: RF-ATTEST-001 if it is neither.
    """
    if data.startswith(ARRAY_OF_FOUR):
        return data
    if len(data) > MOST_TEXT:
        raise malformed_document(f"at most {MOST_TEXT} bytes", "a longer file")
    lines = data.removesuffix(b"\n").split(b"\n")
    width = len(lines[0])
    if any(len(line) != width for line in lines[:-1]) or not 0 < len(lines[-1]) <= width:
        raise malformed_document("a document, or its base64 in lines of one length", "other bytes")
    text = b"".join(lines)
    try:
        document = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise malformed_document("a document, or its base64", "other bytes") from error
    if base64.b64encode(document) != text:
        raise malformed_document("a document, or its base64 in its one form", "another form")
    return document
