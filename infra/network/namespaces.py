"""Network namespaces without names: the kernel removes one with its last process and descriptor.

So nothing is left behind by a sandbox, however it ends, not even by one that is killed. A process
is started in a namespace through `nsenter` and the descriptor that its owner holds. All this
takes root on Linux.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, TypeVar

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Namespace", "require_root", "switched"]

CLONE_NEWNET = 0x40000000
OWN = "/proc/thread-self/ns/net"

_Result = TypeVar("_Result")


def require_root() -> None:
    """Check that this process may make namespaces.

    Raises:
        CeremonyError: RF-NET-004 if not.
    """
    if sys.platform == "linux" and os.geteuid() == 0:
        return
    raise CeremonyError(
        "RF-NET-004",
        "a network-shaped sandbox cannot be made by this user on this system",
        expected="root on Linux, which may make network namespaces",
        found=f"user {os.geteuid()} on {sys.platform}",
        effect="nothing was started",
        next_step="give the command as root, or leave out --network",
        runbook="network-shaped-runs",
    )


class Namespace:
    """A network of its own, for as long as it is open or somebody works in it."""

    def __init__(self) -> None:
        """Make an empty one, in which nothing but the loopback device exists."""

        def make() -> int:
            _call("unshare", CLONE_NEWNET)
            return os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)

        self.descriptor = _in_thread(make)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    @property
    def path(self) -> str:
        """Where other processes of this user find it while this process holds it."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @property
    def entering(self) -> tuple[str, ...]:
        """The words before a command that is to run in it."""
        return ("nsenter", f"--net={self.path}", "--")

    def inside(self, act: Callable[[], _Result]) -> _Result:
        """Call a function in it, in a thread of its own, and return or raise what that does."""

        def enter() -> _Result:
            _call("setns", self.descriptor, CLONE_NEWNET)
            return act()

        return _in_thread(enter)

    def configure(self, program: str, lines: Iterable[str]) -> None:
        """Have `ip` or `tc` carry out commands in it, one on each line.

        Raises:
            CeremonyError: RF-NET-005 if one of them fails.
        """
        text = "\n".join(lines) + "\n"
        self.inside(lambda: _batch(program, text))


@contextmanager
def switched(namespace: Namespace) -> Iterator[None]:
    """Work in a namespace, with this thread and all that it starts meanwhile."""
    before = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", namespace.descriptor, CLONE_NEWNET)
        yield
    finally:
        _call("setns", before, CLONE_NEWNET)
        os.close(before)


def _batch(program: str, text: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the commands are the sandbox's own
            [program, "-batch", "-"], input=text, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        found, failed = "no such program on PATH", True
    else:
        found, failed = " ".join(done.stderr.split())[:300], done.returncode != 0
    if failed:
        raise CeremonyError(
            "RF-NET-005",
            f"a network for the sandbox cannot be made with `{program}`",
            expected="iproute2, and a kernel that makes devices, addresses and routes",
            found=found,
            effect="nothing was started",
            next_step="install iproute2 (Debian's package of that name); see the page for the rest",
            runbook="network-shaped-runs",
        )


def _in_thread(act: Callable[[], _Result]) -> _Result:
    """Call a function in a new thread: a namespace that it enters stays with that thread."""
    results: list[_Result] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            results.append(act())
        except BaseException as error:  # noqa: BLE001 - handed on to the caller
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def _call(name: str, *arguments: int) -> None:
    """Call a function of the C library that this Python does not offer."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
