"""What a Temporal database says to whoever has the plan: its payloads, decrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.temporal.codec import DOMAIN, ENCODING, NONCE_BYTES, PlanCodec
from tests.support.canary import values_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = 0x12
"""What stands before the data of a payload: number and type of the field."""


def payloads_in(database: Path, plan_toml: bytes) -> list[bytes]:
    """Return what the encrypted payloads in all tables of a database say, each of this plan."""
    cipher = PlanCodec(plan_toml)._cipher
    return [
        cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], DOMAIN)
        for _, values in values_of(database)
        for data in _encrypted(values)
    ]


def _encrypted(values: bytes) -> Iterator[bytes]:
    """Yield the data of every encrypted payload: a field right behind the name of its encoding."""
    at = values.find(ENCODING)
    while at >= 0:
        at += len(ENCODING)
        if values[at : at + 1] == bytes([DATA]):
            size, start = _number(values, at + 1)
            yield values[start : start + size]
        at = values.find(ENCODING, at)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of protobuf's variable length, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
