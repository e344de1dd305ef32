"""A contiguous part of a blob on its way into a file of its own.

Its bytes are hashed as they arrive. As long as they equal those of a copy that other parties on
this machine have verified, they are compared and not written.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from infra.files import SECRET_FILE, append, disk_errors, equal, mapped
from infra.leaves import LeafHasher

if TYPE_CHECKING:
    from pathlib import Path

    from infra.spares import SpareFiles

__all__ = ["Part"]


class Part:
    """Bytes `start` to `stop` of a blob, as far as they are here.

    Attributes:
        path: the file that holds them, unless they are only compared.
        start: where the part begins in the blob; a multiple of the leaves' length.
        stop: where it ends.
        resumed: whether some bytes were here before this process asked for any.
    """

    def __init__(
        self,
        path: Path,
        start: int,
        stop: int,
        leaf_bytes: int,
        known: memoryview | None = None,
        *,
        spares: SpareFiles | None = None,
    ) -> None:
        """Go on from what an earlier process left in the file, which is hashed again.

        Args:
            path: where the part is kept.
            start: where it begins.
            stop: where it ends.
            leaf_bytes: length of the blob's leaves.
            known: what these bytes are, according to others.
            spares: files to be written over instead of making new ones.
        """
        self.path, self.start, self.stop = path, start, stop
        self._leaf_bytes = leaf_bytes
        self._known = known
        self._spares, self._has_old_bytes = spares, False
        self._file: int | None = None
        self._hasher = LeafHasher(leaf_bytes)
        self.resumed = False

    @property
    def size(self) -> int:
        """How many bytes the part will have."""
        return self.stop - self.start

    @property
    def present(self) -> int:
        """How many bytes have arrived."""
        return self._hasher.size

    @property
    def is_known(self) -> bool:
        """Whether all that arrived equals what others know, so that nothing was written."""
        return self._known is not None

    def resume(self) -> None:
        """Take over what an earlier call or process left, hashed anew.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002.
        """
        if not self.path.exists():
            return
        with disk_errors(self.path):
            left = mapped(self.path)
        if len(left) > self.size:
            self.restart()
            return
        self._hasher.update(left)
        self.resumed = bool(left)
        if self._known is not None and equal(self._known[: len(left)], left):
            self.path.unlink()
        else:
            self._known = None
            self._open(os.O_APPEND)

    def take(self, piece: memoryview) -> None:
        """Add the next bytes; they are done with when this returns.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002.
        """
        begin = self.present
        self._hasher.update(piece)
        if self._known is not None:
            if equal(piece, self._known[begin : begin + len(piece)]):
                return
            self._write_known(begin)
        self._write(piece)

    def leave(self) -> None:
        """Close the file, with everything in it that arrived: the next call goes on from there.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002.
        """
        if self._known is not None and self.present:
            self._write_known(self.present)
        self._close()

    def finish(self) -> tuple[bytes, ...]:
        """Close the file and return the hashes of the leaves.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002.
        """
        if self._known is None and not self.size:
            self._write(memoryview(b""))
        self._close()
        return self._hasher.leaves()

    def restart(self) -> None:
        """Forget and remove everything; the next bytes are the first.

        Raises:
            CeremonyError: RF-DISK-002.
        """
        self._close()
        with disk_errors(self.path):
            self.path.unlink(missing_ok=True)
        self._hasher = LeafHasher(self._leaf_bytes)
        self.resumed = False

    def _write_known(self, count: int) -> None:
        """Let the file have the first bytes, which equal the known ones, and write from now on."""
        assert self._known is not None
        known, self._known = self._known, None
        self._write(known[:count])

    def _write(self, piece: memoryview) -> None:
        if self._file is None:
            self._begin()
        assert self._file is not None
        with disk_errors(self.path):
            append(self._file, [piece])

    def _begin(self) -> None:
        """Open the file to be written from its beginning; old bytes in it go when it is closed."""
        spare = None if self._spares is None else self._spares.take()
        if spare is None:
            self._open(os.O_TRUNC)
            return
        with disk_errors(self.path):
            spare.replace(self.path)
        self._open(0)
        self._has_old_bytes = True

    def _open(self, how: int) -> None:
        with disk_errors(self.path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how
            self._file = os.open(self.path, flags, SECRET_FILE)

    def _close(self) -> None:
        if self._file is not None:
            if self._has_old_bytes:
                self._cut_off()
            os.close(self._file)
            self._file = None

    def _cut_off(self) -> None:
        """Let the file end where it was written last."""
        assert self._file is not None
        with disk_errors(self.path):
            os.ftruncate(self._file, os.lseek(self._file, 0, os.SEEK_CUR))
        self._has_old_bytes = False
