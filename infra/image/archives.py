"""Archives that are functions of their entries: a tar, and the cpio that Linux starts from.

The cpio is the format "newc" without compression: what a compressor writes depends on its version.
Sources: POSIX.1-2001 pax; Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
"""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING

from infra.image.entries import Entry, Form, in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["cpio_of", "tar_of"]

TRAILER = Entry("TRAILER!!!", Form.FILE, 0, memoryview(b""))
ALIGNED = 4
BLOCK = 512
"""Ramdisks are put one behind the other in memory: each must end where the next may begin."""

TYPES = {Form.FILE: tarfile.REGTYPE, Form.DIRECTORY: tarfile.DIRTYPE, Form.LINK: tarfile.SYMTYPE}


def tar_of(entries: Iterable[Entry], epoch: int) -> Iterator[memoryview]:
    """Yield a tar in pieces.

    Args:
        entries: in any order.
        epoch: the time of every entry, in seconds since 1970.
    """
    at = 0
    for entry in in_order(entries):
        info = tarfile.TarInfo(entry.path)
        info.type, info.mode, info.mtime = TYPES[entry.form], entry.permissions, epoch
        if entry.form is Form.LINK:
            info.linkname = os.fsdecode(bytes(entry.data))
        elif entry.form is Form.FILE:
            info.size = len(entry.data)
        head = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        yield memoryview(head)
        at += len(head)
        if entry.form is Form.FILE:
            yield entry.data
            yield memoryview(bytes(-info.size % BLOCK))
            at += info.size + -info.size % BLOCK
    yield memoryview(bytes(2 * BLOCK + -(at + 2 * BLOCK) % tarfile.RECORDSIZE))


def cpio_of(entries: Iterable[Entry], epoch: int) -> Iterator[memoryview]:
    """Yield a cpio archive in pieces, padded to whole blocks.

    Args:
        entries: in any order.
        epoch: the time of every entry, in seconds since 1970.
    """
    at = 0
    for number, entry in enumerate(in_order(entries), 1):
        head = _head(entry, number, epoch)
        yield memoryview(head)
        yield entry.data
        yield memoryview(bytes(-len(entry.data) % ALIGNED))
        at += len(head) + len(entry.data) + -len(entry.data) % ALIGNED
    end = _head(TRAILER, 0, 0)
    yield memoryview(end + bytes(-(at + len(end)) % BLOCK))


def _head(entry: Entry, number: int, epoch: int) -> bytes:
    """Return what stands before the content of an entry, padded; owners and devices are 0."""
    name = os.fsencode(entry.path) + b"\0"
    mode = 0 if entry is TRAILER else entry.form.value | entry.permissions
    links = 2 if entry.form is Form.DIRECTORY else 1
    fields = (number, mode, 0, 0, links, epoch, len(entry.data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return head + bytes(-len(head) % ALIGNED)
