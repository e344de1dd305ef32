"""A keeper of sealed objects that shows an operator an earlier moment of its own vault."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from infra.files import make_directory

if TYPE_CHECKING:
    from pathlib import Path

    from infra.homes import Home

__all__ = ["keep_moment", "take_back"]


def keep_moment(home: Home, kept: Path) -> None:
    """Keep the vault of a home as its keeper sees it now; its operator may run meanwhile.

    Objects come and go with every write, so they are copied before the index and after it.
    """
    _copy_objects(home, kept)
    for name in ("index", "identity", "wrapped-key"):
        shutil.copyfile(home.vault / name, kept / name)
    _copy_objects(home, kept)


def _copy_objects(home: Home, kept: Path) -> None:
    for path in (home.vault / "objects").rglob("*"):
        if path.is_file() and path.suffix != ".tmp":
            target = kept / path.relative_to(home.vault)
            make_directory(target.parent)
            with suppress(FileNotFoundError):
                shutil.copyfile(path, target)


def take_back(home: Home, kept: Path) -> None:
    """Show an operator that does not run what was kept, in the place of what it left."""
    shutil.rmtree(home.vault / "objects")
    shutil.copytree(kept, home.vault, dirs_exist_ok=True)
