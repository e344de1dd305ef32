"""Opened values that the parties on one machine keep once.

Every party still receives, hashes and compares all bytes of a value before it uses it; then its
own name for the value and the one in this folder are hard links to one file.

Security: whoever may write in the folder may alter what others have verified. It is meant for
    parties of one user on one machine, as in a sandbox; a party that shares nothing needs none.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from infra.files import SECRET_FILE, append, equal, make_directory, mapped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from infra.homes import Home

__all__ = ["SharedOpenings"]


class SharedOpenings:
    """Files named by their Merkle root, in a folder that several processes use at once."""

    def __init__(self, folder: Path) -> None:
        """Keep them in `folder`, which is made when it is missing."""
        self._folder = make_directory(folder)

    @classmethod
    def of(cls, home: Home) -> SharedOpenings | None:
        """Return what the party of a home shares with others, if it was told to."""
        return None if home.shared_openings is None else cls(home.shared_openings)

    def _stored(self, root: bytes) -> Path:
        return self._folder / root.hex()

    def borrow(self, root: bytes, size: int, link: Path) -> memoryview | None:
        """Give the stored copy a further name, so that it stays, and return its bytes.

        Nothing is checked but the size: compare them with what is known to be right.

        Args:
            root: of the value.
            size: its length in bytes.
            link: the further name.

        Returns:
            The bytes, or None if there is no such copy or it cannot be linked there.
        """
        link.unlink(missing_ok=True)
        try:
            os.link(self._stored(root), link)
        except OSError:
            return None
        known = mapped(link)
        if len(known) == size:
            return known
        link.unlink()
        return None

    def add(self, root: bytes, path: Path) -> None:
        """Make a verified file and the stored copy one; a stored copy that differs is replaced.

        Who cannot link, for another file system or a full disk, goes on with a file of its own.
        """
        stored = self._stored(root)
        with suppress(OSError):
            try:
                os.link(path, stored)
            except FileExistsError:
                self._unite(path, stored)
            except OSError as error:
                if error.errno == errno.EXDEV and not stored.exists():
                    _replace(stored, partial(_copy, path))

    def _unite(self, path: Path, stored: Path) -> None:
        if path.samefile(stored):
            return
        if equal(mapped(path), mapped(stored)):
            _replace(path, partial(os.link, stored))
        else:
            _replace(stored, partial(os.link, path))

    def tidy(self, root: bytes) -> None:
        """Remove the stored copy if no party has it any more."""
        stored = self._stored(root)
        with suppress(FileNotFoundError):
            if stored.stat().st_nlink == 1:
                stored.unlink()


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    """Put what is made under a passing name in the place of a file, at once."""
    passing = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        make(passing)
        passing.replace(path)
    finally:
        passing.unlink(missing_ok=True)


def _copy(path: Path, copy: Path) -> None:
    descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SECRET_FILE)
    try:
        append(descriptor, [mapped(path)])
    finally:
        os.close(descriptor)
