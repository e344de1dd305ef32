"""External tools that tests need: a missing one is a failure, never a reason to skip."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def cache(name: str) -> Path:
    """Return a folder of the per-user cache."""
    folder = Path(platformdirs.user_cache_dir("ringforge")) / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def tool(name: str, hint: str) -> str:
    """Return the path of a program on PATH."""
    found = shutil.which(name)
    if found is None:
        raise AssertionError(f"{name} is needed to judge key sets and is not on PATH: {hint}")
    return found


def run(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Return what a program prints; its failure is the test's failure."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise AssertionError(f"{Path(command[0]).name} failed:\n{result.stderr[-4000:]}")
    return result.stdout
