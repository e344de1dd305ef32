"""CBOR of others: what the signer encoded is read as it is, but never in two ways.

AWS encodes maps with and without a length and does not sort keys, so its bytes are not compared
with a canonical encoding. Tags, repeated keys, deep nesting and bytes after the value are refused.
"""

from __future__ import annotations

import io
from typing import Any

import cbor2

__all__ = ["NotCbor", "read_cbor"]

DEEPEST = 4
"""A document is a map of maps and lists of byte strings."""


class NotCbor(ValueError):  # noqa: N818 - it names the state of the bytes
    """Bytes that are not one CBOR value as we read it."""


class _NoTags(dict[int, Any]):
    """Semantic decoders of the CBOR library: each one refuses."""

    def __missing__(self, tag: int) -> object:
        raise NotCbor(f"CBOR tag {tag}")


_NO_TAGS = _NoTags()


def read_cbor(data: bytes) -> object:
    """Return the one value that these bytes encode; whoever calls has limited their length.

    Raises:
        NotCbor: if there is none, or not only one.
    """
    stream = io.BytesIO(data)
    decoder = cbor2.CBORDecoder(
        stream,
        semantic_decoders=_NO_TAGS,
        max_depth=DEEPEST,
        allow_duplicate_keys=False,
        read_size=1,
    )
    try:
        value = decoder.decode()
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise NotCbor("not CBOR") from error
    if stream.read(1):
        raise NotCbor("something after the value")
    return value
