"""Compiles the kernels once for this user, program and machine, instead of once in every process.

Kernels with explicit signatures compile when they are imported, and numba keeps the machine code
in NUMBA_CACHE_DIR. Its own key sees neither the modules that a kernel calls nor their constants,
so every version of the sources, of the compiler and of the CPU gets a folder of its own here.

`python -m infra.sandbox.warm` imports every kernel in the current NUMBA_CACHE_DIR, and the modules
of the parties, so that their bytecode is kept as well.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import os
import pkgutil
import platform
import shutil
import subprocess
import sys
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from infra.files import disk_errors, make_directory, write_atomic
from mpc_core import kernels
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["cache_folder", "kernel_environment", "warm_kernels"]

COMPILERS = ("numba", "llvmlite", "numpy")
KEPT_FOLDERS = 6
"""Caches of so many versions of the program stay; older ones are removed."""

STAMP = "complete"
RINGS = "tiles"
"""The module of the kernels that are made for a ring."""

NO_BYTECODE = frozenset({"PYTHONDONTWRITEBYTECODE"})
PARTIES = ("infra.operator", "infra.coordinator")
"""What is imported besides the kernels, so that its bytecode is there."""


def cache_folder() -> Path:
    """Return the folder of the machine code for these sources, this compiler and this CPU."""
    key = hashlib.sha256()
    for part in (*map(version, COMPILERS), platform.python_version(), _cpu()):
        key.update(part.encode() + b"\0")
    for source in _sources():
        status = source.stat()
        key.update(f"{source}\0{status.st_mtime_ns}\0".encode() + source.read_bytes())
    return platformdirs.user_cache_path("ringforge") / "numba" / key.hexdigest()[:24]


def kernel_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a process that uses the kernels of this folder.

    Python's own bytecode is kept there too, whatever the surroundings say: a committee of thirteen
    would else compile every library thirteen times.
    """
    surroundings = {name: text for name, text in os.environ.items() if name not in NO_BYTECODE}
    return {
        **surroundings,
        "NUMBA_CACHE_DIR": str(folder),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "PYTHONUNBUFFERED": "1",
    }


def warm_kernels(folder: Path, say: Callable[[str], None]) -> None:
    """Make sure that the folder holds the machine code of every kernel.

    Args:
        folder: the result of `cache_folder`.
        say: told what happens, since it may take a minute.

    Raises:
        CeremonyError: RF-RUN-008 if a kernel does not compile, RF-DISK-001 or RF-DISK-002 if the
            disk refuses.
    """
    make_directory(folder)
    with _alone(folder.with_suffix(".lock"), say):
        if (folder / STAMP).exists():
            os.utime(folder)
            return
        say("compiling the kernels, once for this version (up to two minutes) ...")
        _compile(folder, say)
        write_atomic(folder / STAMP, b"")
        _forget_old_folders(folder.parent)


def _compile(folder: Path, say: Callable[[str], None]) -> None:
    command = [sys.executable, "-m", "infra.sandbox.warm"]
    with subprocess.Popen(  # noqa: S603  # this program itself
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=kernel_environment(folder),
        text=True,
    ) as child:
        try:
            last = _relay(child, say)
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise CeremonyError(
            "RF-RUN-008",
            "the kernels do not compile on this machine",
            expected="every module of mpc_core.kernels to compile",
            found=f"exit code {child.returncode}: {last}",
            effect="nothing was started",
            next_step=f"run NUMBA_CACHE_DIR={folder} {' '.join(command)} to see the reason",
            runbook="start",
        )


def _relay(child: subprocess.Popen[str], say: Callable[[str], None]) -> str:
    """Pass on what the child says and return its last line."""
    assert child.stdout is not None
    last = ""
    for line in child.stdout:
        last = line.strip()
        if last.startswith("kernels "):
            say(f"  {last}")
    return last


def _import_kernels() -> None:
    """Import every kernel module, which compiles it, and say so; then what the parties run.

    Kernels that are made for a ring compile when they are asked for, all of them here.
    """
    names = [module.name for module in pkgutil.iter_modules(kernels.__path__)]
    for at, name in enumerate(names, 1):
        module = importlib.import_module(f"{kernels.__name__}.{name}")
        if name == RINGS:
            module.compile_tiles()
        sys.stdout.write(f"kernels {at}/{len(names)}: {name}\n")
        sys.stdout.flush()
    for name in PARTIES:
        importlib.import_module(name)


def _sources() -> list[Path]:
    return sorted(path for folder in kernels.__path__ for path in Path(folder).glob("*.py"))


def _cpu() -> str:
    """Return what machine code depends on: the model and the features of the CPU."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except FileNotFoundError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "flags", "Features", "CPU part")
    lines = [line for line in text.splitlines() if line.startswith(wanted)]
    return platform.machine() + "\n".join(sorted(set(lines)))


@contextmanager
def _alone(lock: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other process compiles into this folder."""
    with disk_errors(lock):
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process compiles the kernels; waiting for it ...")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _forget_old_folders(parent: Path) -> None:
    folders = sorted(
        (path for path in parent.iterdir() if path.is_dir()),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for path in folders[KEPT_FOLDERS:]:
        shutil.rmtree(path, ignore_errors=True)
        path.with_suffix(".lock").unlink(missing_ok=True)


if __name__ == "__main__":
    _import_kernels()
