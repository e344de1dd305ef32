"""Files of an image, without what differs from build to build.

Owners are 0:0, permissions are those of a program or of another file, times are left to whoever
writes the archive, and the order is that of the paths. Compiled Python carries the time of its
source, so it is left out. Nothing needs setuid in an enclave, where there is one user.
"""

from __future__ import annotations

import os
import stat
import tarfile
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from infra.files import mapped
from infra.image.refusals import image_error, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mpc_core.protocol.errors import CeremonyError

__all__ = ["Entry", "Form", "directory", "file", "files_below", "files_of_tar", "in_order"]

COMPILED = "__pycache__"
LONGEST_PATH = 1_024
EXECUTABLE = 0o755
PLAIN = 0o644
OF_LINKS = 0o777


class Form(Enum):
    """What a path is; images have nothing else."""

    FILE = stat.S_IFREG
    DIRECTORY = stat.S_IFDIR
    LINK = stat.S_IFLNK


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of an image.

    Attributes:
        path: relative, with slashes.
        form: what it is.
        permissions: 0755 of programs and directories, 0644 of other files, 0777 of links.
        data: content of the file, or target of the link.
    """

    path: str
    form: Form
    permissions: int
    data: memoryview


def directory(path: str) -> Entry:
    """Return a directory."""
    return Entry(path, Form.DIRECTORY, EXECUTABLE, memoryview(b""))


def file(path: str, data: bytes | memoryview, *, executable: bool = False) -> Entry:
    """Return a file."""
    return Entry(path, Form.FILE, EXECUTABLE if executable else PLAIN, memoryview(data))


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries by path, and every directory that one of them needs.

    Raises:
        CeremonyError: RF-IMAGE-006 if a path occurs twice, or as what it cannot be.
    """
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.path in found or not _is_path(entry.path):
            raise _unfit(entry.path, "a path twice, or none below the root")
        found[entry.path] = entry
    for path in list(found):
        parents = path.split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            above = "/".join(parents[:depth])
            if found.setdefault(above, directory(above)).form is not Form.DIRECTORY:
                raise _unfit(path, f"something below {above}, which is no directory")
    return [found[path] for path in sorted(found)]


def files_below(root: Path, names: Iterable[str]) -> Iterator[Entry]:
    """Yield the files of some folders below a root, whatever the umask of who made them was.

    Args:
        root: the folder that paths are relative to.
        names: folders and files in it.

    Raises:
        CeremonyError: RF-IMAGE-003 if one cannot be read, RF-IMAGE-006 if there is something else
            than files and directories.
    """
    for name in names:
        for path in _walk(root / name):
            shown = path.relative_to(root).as_posix()
            try:
                mode = path.stat(follow_symlinks=False).st_mode
                if not stat.S_ISREG(mode):
                    raise _unfit(shown, "something else than a file in a folder")
                yield file(shown, mapped(path), executable=bool(mode & stat.S_IXUSR))
            except OSError as error:
                raise unreadable(path, error) from error


def files_of_tar(path: Path, *, without: Iterable[str] = ()) -> Iterator[Entry]:
    """Yield the entries of an uncompressed tar; hard links become files of their own.

    Args:
        path: the archive.
        without: folders whose content is left out, as what is mounted over at the start.

    Raises:
        CeremonyError: RF-IMAGE-003 if it cannot be read, RF-IMAGE-006 if there is something else
            than files, directories and links.
    """
    emptied = tuple(f"{name}/" for name in without)
    try:
        content = mapped(path)
        with tarfile.open(path, "r:") as archive:
            members = archive.getmembers()
    except (OSError, tarfile.TarError) as error:
        raise unreadable(path, error) from error
    files = {_name(member): member for member in members if member.isreg()}
    for member in members:
        name = _name(member)
        if not name or name.startswith(emptied) or COMPILED in name.split("/"):
            continue
        if member.islnk():
            target = files.get(member.linkname.removeprefix("./"))
            if target is None:
                raise _unfit(name, "a hard link to what is no file before it")
            yield _member(name, target, content)
        else:
            yield _member(name, member, content)


def _member(name: str, member: tarfile.TarInfo, content: memoryview) -> Entry:
    if member.isdir():
        return directory(name)
    if member.issym():
        return Entry(name, Form.LINK, OF_LINKS, memoryview(os.fsencode(member.linkname)))
    if not member.isreg() or member.issparse():
        raise _unfit(name, "something else than a file, a directory or a link")
    data = content[member.offset_data : member.offset_data + member.size]
    return file(name, data, executable=bool(member.mode & stat.S_IXUSR))


def _name(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./").strip("/") if member.name != "." else ""


def _walk(path: Path) -> Iterator[Path]:
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for each in sorted(path.iterdir()):
        if each.name != COMPILED and not each.name.startswith("."):
            yield from _walk(each)


def _is_path(path: str) -> bool:
    parts = path.split("/")
    return len(path) <= LONGEST_PATH and not {"", ".", ".."} & set(parts) and "\0" not in path


def _unfit(path: str, found: str) -> CeremonyError:
    return image_error(
        "RF-IMAGE-006",
        "something cannot be put into an image",
        "files, directories and links, each path once",
        f"{path[:200]}: {found}",
        "take it out of what the image is built from",
    )
