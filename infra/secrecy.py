"""What a process does at its start so that its memory stays its own."""

from __future__ import annotations

import ctypes
import resource
import sys

__all__ = ["forbid_core_dumps"]

_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """Let neither a crash nor another process of the same user write this memory down.

    The limit holds for child processes too; that the process is not dumpable also keeps dumps from
    programs that the kernel hands them to whatever the limit is, and forbids debuggers.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
