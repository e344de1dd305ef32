"""Files whose first line is the digest of the rest: what is damaged is never used.

A disk gives back something else than was written, seldom and without a word; and a file that need
not survive a power loss may be torn by one. Either way the file counts as lost, as if its disk had
been replaced, and its content is computed or fetched again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import structlog

from infra.files import SECRET_FILE, disk_errors, write_atomic

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_guarded", "write_guarded", "write_unguarded"]

_UNGUARDED = b"no digest\n"
_LONGEST_LINE = 80
_log = structlog.get_logger()


def write_guarded(
    path: Path, data: bytes, mode: int = SECRET_FILE, *, durable: bool = True
) -> None:
    """Replace a file by its digest and its content, as `write_atomic`."""
    write_atomic(path, data, mode, durable=durable, head=_first_line(data))


def write_unguarded(path: Path, data: bytes, mode: int = SECRET_FILE) -> None:
    """Replace a file by content that authenticates itself and that no power loss matters to."""
    write_atomic(path, data, mode, durable=False, head=_UNGUARDED)


def read_guarded(path: Path) -> bytes | None:
    """Return the content of a file, or None if it is not there or not what was written.

    Raises:
        CeremonyError: RF-DISK-002 if it cannot be read.
    """
    with disk_errors(path):
        try:
            with path.open("rb", buffering=0) as file:
                line = file.readline(_LONGEST_LINE)
                data = file.readall()
        except FileNotFoundError:
            return None
    if line == _UNGUARDED or line == _first_line(data):
        return data
    _log.warning("a damaged file counts as lost", file=path.name, folder=path.parent.name)
    return None


def _first_line(data: bytes) -> bytes:
    return b"sha256 %s\n" % hashlib.sha256(data).hexdigest().encode()
