"""Starts a program that does not outlive the sandbox: `tether.py PARENT PROGRAM ARGUMENT...`.

A sandbox that is killed cannot stop anything any more, so on Linux the kernel does it. This script
runs by its path, without the house, in a few milliseconds, and then becomes the program.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the program, unless the parent is gone already."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() == parent:
        os.execvp(program[0], program)  # noqa: S606  # the arguments are the sandbox's own


if __name__ == "__main__":
    main()
