"""Opened values as public files: on the same disk they are links to what is there already."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.files import PUBLIC_FILE, disk_errors, replace_durably
from infra.publish.streamed import streamed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Opened", "place"]

_PIECE = 1 << 20

_NO_LINKS = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
)
"""What a file system says that has no second name to give: another disk, no links, not ours."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened value that is to be published.

    Attributes:
        root: its Merkle root.
        data: its bytes, checked against the root.
        file: a file that holds them, if there is one. It is replaced, never written to.
    """

    root: bytes
    data: bytes | memoryview
    file: Path | None = None


def place(opened: Opened, path: Path) -> None:
    """Let `path` hold an opened value, durably: a further name of its file, or else a copy.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
    """
    if opened.file is not None and _link(opened.file, path):
        return
    view = memoryview(opened.data)
    with streamed(path) as copy:
        for start in range(0, len(view), _PIECE):
            copy.write(view[start : start + _PIECE])


def _link(file: Path, path: Path) -> bool:
    """Give a file a further, public name; return whether the file system could."""
    temporary = path.with_name(f".{path.name}.link.tmp")
    with disk_errors(path):
        if path.exists() and path.samefile(file):
            return True
        try:
            os.link(file, temporary)
            temporary.chmod(PUBLIC_FILE)
        except OSError as error:
            with suppress(FileNotFoundError):
                temporary.unlink()
            if error.errno in _NO_LINKS:
                return False
            raise
        replace_durably(temporary, path)
    return True
