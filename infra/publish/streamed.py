"""Large files written piece by piece: whole or not at all, hashed while their bytes are at hand."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from infra.files import PUBLIC_FILE, disk_errors, replace_durably

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["Hashed", "streamed"]

_TICK_BYTES = 1 << 24


def _nothing(*_: object) -> None:
    """Take what nobody asked for."""


@dataclass(slots=True)
class Hashed:
    """A sink that counts and hashes what passes through it.

    Attributes:
        then: where the bytes go on to.
        tick: called at least every 16 MiB: whoever waits for a long file hears that it grows.
        size: bytes so far.
    """

    then: Callable[[Any], object] = _nothing
    tick: Callable[[], None] = _nothing
    size: int = 0
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    _ticked: int = 0

    def write(self, piece: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._digest.update(piece)
        self.then(piece)
        self.size += len(piece)
        if self.size - self._ticked >= _TICK_BYTES:
            self._ticked = self.size
            self.tick()

    @property
    def sha256(self) -> bytes:
        """The SHA-256 of everything so far."""
        return self._digest.digest()


@contextmanager
def streamed(path: Path, tick: Callable[[], None] = _nothing) -> Iterator[Hashed]:
    """Write a public file piece by piece; it appears under its name once it is whole and durable.

    Args:
        path: the file; its directory exists.
        tick: called while it grows.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
    """
    with disk_errors(path):
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, PUBLIC_FILE)
                yield Hashed(file.write, tick)
            replace_durably(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                temporary.unlink()
            raise
