"""A cpio archive read by its specification, as the kernel reads it.

Source: Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
"""

from __future__ import annotations

from dataclasses import dataclass

FIELDS = [
    "ino",
    "mode",
    "uid",
    "gid",
    "nlink",
    "mtime",
    "filesize",
    "major",
    "minor",
    "rmajor",
    "rminor",
    "namesize",
    "check",
]


@dataclass(frozen=True)
class Unpacked:
    mode: int
    owner: tuple[int, int]
    mtime: int
    data: bytes


def unpacked(archive):
    """Return the entries by name; padding between and after must be zero."""
    found, at = {}, 0
    while True:
        assert archive[at : at + 6] == b"070701"
        values = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        head = dict(zip(FIELDS, values, strict=True))
        name = archive[at + 110 : at + 110 + head["namesize"]]
        assert name[-1:] == b"\0"
        at = _padded(archive, at + 110 + head["namesize"])
        data = archive[at : at + head["filesize"]]
        at = _padded(archive, at + head["filesize"])
        if name == b"TRAILER!!!\0":
            assert not any(archive[at:])
            return found
        owner = (head["uid"], head["gid"])
        assert name not in found
        found[name[:-1].decode()] = Unpacked(head["mode"], owner, head["mtime"], data)


def _padded(archive, at):
    end = at + -at % 4
    assert not any(archive[at:end])
    return end
