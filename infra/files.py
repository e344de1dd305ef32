"""Files that survive a crash: either the old bytes or the new ones, never a mixture.

Every durable file of the project is written here. A write that the disk refuses becomes a
`CeremonyError` of area DISK, so that whoever runs the process learns what to free or to allow.
"""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mpc_core.sharing.opening import Buffer

__all__ = [
    "PRIVATE_DIRECTORY",
    "PUBLIC_FILE",
    "SECRET_FILE",
    "append",
    "disk_errors",
    "equal",
    "make_directory",
    "mapped",
    "move",
    "replace_durably",
    "retire",
    "sync_directory",
    "write_atomic",
]

SECRET_FILE = 0o600
"""Mode of a file that only its owner may read."""

PUBLIC_FILE = 0o644
"""Mode of a file that anybody may read."""

PRIVATE_DIRECTORY = 0o700
"""Mode of a directory that only its owner may enter."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_MOST_PIECES = 512
"""How many pieces one call may write; every system takes as many."""
_COMPARED = 64 * 1024
_LARGE = 1 << 20


def write_atomic(
    path: Path, data: bytes, mode: int = PUBLIC_FILE, *, durable: bool = True, head: bytes = b""
) -> None:
    """Replace `path` by `data` so that a crash leaves either the old or the new content.

    Args:
        path: the file; its directory exists.
        data: the whole content.
        mode: permission bits of the file, exactly (the umask does not apply).
        durable: whether the content must survive a power loss, not only a killed process.
        head: what stands before the content.

    Raises:
        CeremonyError: RF-DISK-001 if the disk is full, RF-DISK-002 if it cannot be written.
    """
    with disk_errors(path):
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        try:
            try:
                os.fchmod(descriptor, mode)
                append(descriptor, [head, data])
                if durable:
                    os.fsync(descriptor)
                elif len(data) >= _LARGE:
                    _begin_to_store(descriptor)
            finally:
                os.close(descriptor)
            temporary.replace(path)
        except BaseException:
            with suppress(FileNotFoundError):
                temporary.unlink()
            raise
        if durable:
            sync_directory(path.parent)


def _begin_to_store(descriptor: int) -> None:
    """Have the disk begin with a file, so that whoever makes it durable later waits for little."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def replace_durably(temporary: Path, path: Path) -> None:
    """Move a finished file of the same directory to its name, content and name durable.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002, as `write_atomic`.
    """
    with disk_errors(path):
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
        sync_directory(path.parent)


def move(temporary: Path, path: Path) -> None:
    """Give a finished file of the same file system its name; after a power loss it may be torn.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002, as `write_atomic`.
    """
    with disk_errors(path):
        temporary.replace(path)
        temporary.unlink(missing_ok=True)  # it stays if both were names of one file


class _FileMap(mmap.mmap):
    """The bytes of a file, and which file that is: device and number."""

    inode: tuple[int, int]


_maps: WeakSet[_FileMap] = WeakSet()
"""The maps of this process that somebody still refers to."""

_maps_guard = threading.Lock()


def mapped(path: Path) -> memoryview:
    """Return the bytes of a file without reading them yet; a symbolic link is no file.

    They stay readable after the file is removed or replaced, for as long as they are referred to.
    Nobody may shorten a file that is mapped: whoever reads what is gone dies.

    Raises:
        OSError: if it cannot be opened.
    """
    with _maps_guard:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            state = os.fstat(descriptor)
            if not state.st_size:
                return memoryview(b"")
            found = _FileMap(descriptor, state.st_size, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
        found.inode = (state.st_dev, state.st_ino)
        _maps.add(found)
    return memoryview(found)


def retire(path: Path, spare: Path) -> bool:
    """Rename a file that is to be written over; whoever looks for it does not find it any more.

    Returns:
        False, with nothing done, if it has further names or somebody in this process reads it.

    Raises:
        FileNotFoundError: if it is gone.
    """
    with _maps_guard:
        state = path.stat(follow_symlinks=False)
        inode = (state.st_dev, state.st_ino)
        if state.st_nlink > 1 or any(each.inode == inode for each in _maps):
            return False
        path.rename(spare)
        return True


def append(descriptor: int, pieces: Sequence[Buffer]) -> None:
    """Write pieces at the position of an open file, all of them."""
    rest = [view for piece in pieces if (view := memoryview(piece).cast("B"))]
    while rest:
        written = os.writev(descriptor, rest[:_MOST_PIECES])
        while rest and written >= len(rest[0]):
            written -= len(rest.pop(0))
        if written:
            rest[0] = rest[0][written:]


def equal(one: memoryview, other: memoryview) -> bool:
    """Tell whether two public byte strings are the same.

    Views compare item by item, a bytearray with a view by memcmp: a copy of one side is faster.
    """
    return len(one) == len(other) and all(
        bytearray(one[at : at + _COMPARED]) == other[at : at + _COMPARED]
        for at in range(0, len(one), _COMPARED)
    )


def make_directory(path: Path, mode: int = PRIVATE_DIRECTORY) -> Path:
    """Create `path` with its parents, their names durable, and give it exactly `mode`.

    What is durable in a directory is lost all the same with the name of that directory.

    Returns:
        The path, so that a caller can name and create a directory in one expression.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002, as `write_atomic`.
    """
    with disk_errors(path):
        missing = [each for each in (path, *path.parents) if not each.exists()]
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        path.chmod(mode)
        for made in missing:
            sync_directory(made.parent)
    return path


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the disk refuses about `path` into an error that says what to do.

    Raises:
        CeremonyError: RF-DISK-001 if the disk is full, RF-DISK-002 if it cannot be written.
    """
    try:
        yield
    except OSError as error:
        directory = path.parent
        found = f"{errno.errorcode.get(error.errno or 0, 'OSError')}: {error.strerror}"
        if error.errno in _FULL:
            raise CeremonyError(
                "RF-DISK-001",
                f"the disk that holds {directory} is full",
                expected=f"room for {path.name}",
                found=found,
                effect="nothing was lost: the file keeps its old content",
                next_step=f"free space on the disk of {directory}, then start the command again",
                runbook="disk-full",
            ) from error
        raise CeremonyError(
            "RF-DISK-002",
            f"{path} cannot be written",
            expected="a writable directory that belongs to this user",
            found=found,
            effect="nothing was lost: the file keeps its old content",
            next_step=f"check owner, mode and mount options of {directory}, then start again",
            runbook="disk-not-writable",
        ) from error
