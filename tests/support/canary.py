"""Searches whatever a ceremony leaves behind for secrets, in every way that bytes are written.

All patterns are looked for at once: the first eight bytes at every place of a file are compared
with those of all patterns, and only where they fit the whole pattern is.
"""

from __future__ import annotations

import base64
import gzip
import shutil
import sqlite3
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

LEAST_BYTES = 16
"""Shorter secrets would be found by chance."""
PREFIX = 8
TABLE_BITS = 22
SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret where it should not be."""

    secret: str
    encoding: str
    place: str


def encodings(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield every way in which a secret may have been written, with a name."""
    yield "raw", secret
    yield "reversed", secret[::-1]
    for size in (4, 8):
        whole = secret[: len(secret) // size * size]
        words = [whole[at : at + size] for at in range(0, len(whole), size)]
        yield f"words of {size} bytes, the other way round", b"".join(word[::-1] for word in words)
        values = [int.from_bytes(word, order) for order in ("little", "big") for word in words]
        for order, part in (("little", values[: len(words)]), ("big", values[len(words) :])):
            yield f"numbers of {size} bytes, {order}", ", ".join(map(str, part)).encode()
    for order in ("little", "big"):
        yield f"one number, {order}", str(int.from_bytes(secret, order)).encode()
    yield "hex", secret.hex().encode()
    yield "HEX", secret.hex().upper().encode()
    yield "list of bytes", ", ".join(map(str, secret)).encode()
    yield "dense list of bytes", ",".join(map(str, secret)).encode()
    yield "repr", repr(secret)[2:-1].encode()
    yield "escaped", "".join(f"\\x{byte:02x}" for byte in secret).encode()
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + secret)
        # The first and the last characters depend on what stands beside the secret.
        inner = whole[(0, 2, 3)[shift] : len(whole) - 4]
        yield f"base64, {shift} bytes in", inner
        yield f"base64url, {shift} bytes in", inner.translate(bytes.maketrans(b"+/", b"-_"))


@dataclass
class Searcher:
    """Looks for secrets, by name, in data."""

    secrets: dict[str, bytes]
    _by_prefix: dict[int, list[tuple[str, str, bytes]]] = field(init=False)
    _prefixes: NDArray[np.uint64] = field(init=False)
    _table: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        found = defaultdict(list)
        for name, secret in self.secrets.items():
            assert len(secret) >= LEAST_BYTES, name
            assert len(set(secret)) > 1, name
            for encoding, pattern in encodings(secret):
                prefix = int.from_bytes(pattern[:PREFIX], "little")
                found[prefix].append((name, encoding, pattern))
        self._by_prefix = dict(found)
        self._prefixes = np.array(sorted(found), np.uint64)
        self._table = np.zeros(1 << TABLE_BITS, np.bool_)
        self._table[_slots(self._prefixes)] = True

    def search(self, data: bytes, place: str) -> set[Finding]:
        """Return the secrets that stand anywhere in data."""
        findings = set()
        for shift in range(PREFIX):
            count = (len(data) - shift) // PREFIX
            if count <= 0:
                continue
            words = np.frombuffer(data, "<u8", count, shift)
            likely = np.flatnonzero(self._table[_slots(words)])
            for at in likely[np.isin(words[likely], self._prefixes)]:
                start = int(at) * PREFIX + shift
                for name, encoding, pattern in self._by_prefix[int(words[at])]:
                    if data[start : start + len(pattern)] == pattern:
                        findings.add(Finding(name, encoding, place))
        return findings

    def search_files(self, files: Iterable[Path]) -> set[Finding]:
        """Return the secrets in files, in what databases say, and in what is compressed."""
        findings: set[Finding] = set()
        for path in files:
            for place, data in contents(path):
                findings |= self.search(data, place)
        return findings


def _slots(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return where words stand in the table: a hash of all their bytes."""
    return (words * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - TABLE_BITS)


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield a file's bytes; of a database each value too, which may lie in pieces in the file."""
    data = path.read_bytes()
    yield str(path), data
    if data.startswith(SQLITE):
        yield from values_of(path)
    if data.startswith(b"\x1f\x8b"):
        yield f"{path}, inflated", gzip.decompress(data)


def values_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the values of every table, from a copy: opening a database may change its files."""
    with TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            file = path.with_name(path.name + suffix)
            if file.exists():
                shutil.copyfile(file, f"{folder}/copy{suffix}")
        connection = sqlite3.connect(f"{folder}/copy")
        connection.text_factory = bytes
        try:
            yield from _tables(connection, path)
        finally:
            connection.close()


def _tables(connection: sqlite3.Connection, path: Path) -> Iterator[tuple[str, bytes]]:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        rows = connection.execute(f'SELECT * FROM "{table.decode()}"')
        values = [value for row in rows for value in row if isinstance(value, bytes)]
        values += [inflated for value in values if (inflated := _inflated(value))]
        yield f"{path}, table {table.decode()}", b"\0".join(values)


def _inflated(value: bytes) -> bytes:
    """Return what a compressed value says, nothing for any other."""
    try:
        return zlib.decompress(value, zlib.MAX_WBITS | 32) if len(value) > PREFIX else b""
    except zlib.error:
        return b""
