"""Starts a program that does not outlive its starter: `tether.py PARENT OWNER PROGRAM ARGUMENT...`.

A sandbox or drill that is killed cannot stop anything any more, so on Linux the kernel does it.
This script runs by its path, without the house, in a few milliseconds, and becomes the program.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["tethered"]

PR_SET_PDEATHSIG = 1


def tethered(*program: str, owner: tuple[int, int] | None = None) -> list[str]:
    """Return the command that runs a program for as long as the calling thread lives.

    Args:
        program: its path and its arguments.
        owner: user and group that it has in the place of root's.
    """
    place = "-" if owner is None else f"{owner[0]}:{owner[1]}"
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), place, *program]


def main() -> None:
    """Become the program, unless the parent is gone already."""
    parent, owner, program = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if owner != "-":  # before the rest: the kernel forgets a tether when its owner changes
        user, group = map(int, owner.split(":"))
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() == parent:
        try:
            os.execvp(program[0], program)  # noqa: S606  # the arguments are the starter's own
        except OSError as error:
            sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
