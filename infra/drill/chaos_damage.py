"""Damage to files: what a disk does when it fails, as a process that finds it afterwards sees it.

A damaged file takes the place of the right one, so that a process that runs and holds the right one
mapped is not robbed of what it has verified: that would be a fault of memory, not of a disk.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from infra.files import make_directory

if TYPE_CHECKING:
    from pathlib import Path

    from infra.homes import Home

__all__ = ["flip_in_place", "flip_vault", "flip_work", "lose_work"]

UNGUARDED = ("identity.key", "setup-seed")
"""Files of a vault that a plan pins or that exist in sandboxes only."""

NOT_REBUILT = ("lock", "process.log", "board.sqlite", "sandbox.lock", "temporal", "timeline.json")
"""What lies in `work/` for other reasons than the ceremony's, and the log's database."""


def lose_work(home: Home) -> str:
    """Delete `work/` and make it anew, empty; the process log stays for whoever looks for why."""
    log = home.log_file.read_bytes() if home.log_file.exists() else b""
    shutil.rmtree(home.work)
    make_directory(home.work)
    home.log_file.write_bytes(log)
    return "everything"


def flip_work(home: Home, choice: float) -> str:
    """Flip a byte of one file of `work/`; return its name, "" where there is none."""
    return _flip_one(home.work, choice, NOT_REBUILT)


def flip_vault(home: Home, choice: float) -> str:
    """Flip a byte of one file of `vault/` that a digest guards."""
    return _flip_one(home.vault, choice, UNGUARDED)


def flip_in_place(folder: Path, choice: float) -> str:
    """Flip a byte of a file for all who hold a link to it; nobody may have it mapped."""
    path, rest = _pick(_files(folder, ()), choice)
    if path is None:
        return ""
    with path.open("r+b") as file:
        place = int(rest * path.stat().st_size)
        file.seek(place)
        [byte] = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ _mask(rest)]))
    return path.name


def _flip_one(folder: Path, choice: float, spared: tuple[str, ...]) -> str:
    path, rest = _pick(_files(folder, spared), choice)
    if path is None:
        return ""
    damaged = path.with_name(f".{path.name}.damaged.tmp")
    with suppress(FileNotFoundError):  # a running process may have dropped it by now
        data = bytearray(path.read_bytes())
        if not data:
            return ""
        place = int(rest * len(data))
        data[place] ^= _mask(rest)
        damaged.write_bytes(data)
        damaged.chmod(path.stat().st_mode)
        os.replace(damaged, path)  # noqa: PTH105
        return f"{path.relative_to(folder)} at {place} of {len(data)}"
    damaged.unlink(missing_ok=True)
    return ""


def _files(folder: Path, spared: tuple[str, ...]) -> list[Path]:
    """Return the files that are whole, not those that are being written, in order."""
    found = []
    for path in sorted(folder.rglob("*")):
        top = path.relative_to(folder).parts[0]
        if top.startswith(spared) or path.suffix == ".tmp" or path.name.startswith("."):
            continue
        with suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink() and path.stat().st_size:
                found.append(path)
    return found


def _pick(files: list[Path], choice: float) -> tuple[Path | None, float]:
    """Return a file, every one as likely, and what is left of the choice, in [0, 1)."""
    if not files:
        return None, 0.0
    scaled = choice * len(files)
    return files[int(scaled)], scaled - int(scaled)


def _mask(rest: float) -> int:
    """Return the bits that are flipped, one to eight of them."""
    return int(rest * 1_000_003) % 255 + 1
