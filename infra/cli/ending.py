"""How every command ends: an exit code, and an error that a person can act on.

0 ok, 1 failed, 2 usage, 3 waiting or degraded (the same command with --resume goes on), 4 a
verification failed. Data goes to standard output, everything else to standard error. An expected
fault shows no traceback; anything else is a defect and does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "FAILED",
    "UNVERIFIED",
    "WAITING",
    "ending",
    "exit_code",
    "print_json",
    "stop_like_ctrl_c",
]

FAILED, WAITING, UNVERIFIED = 1, 3, 4

STOPPED_CODES = frozenset({"RF-RUN-007", "RF-RUN-009"})
"""Errors after which the ceremony only waits to be resumed."""

GRACE_SECONDS = 8.0
"""How long a process that was told to stop may take for an orderly end."""


def exit_code(error: CeremonyError) -> int:
    """Return the exit code that an error means."""
    if error.code.startswith("RF-VERIFY-"):
        return UNVERIFIED
    return WAITING if error.code in STOPPED_CODES else FAILED


def print_json(value: Mapping[str, object]) -> None:
    """Write one JSON object on a line of its own, for whoever reads line by line."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


@contextmanager
def ending(*, as_json: bool) -> Iterator[None]:
    """Turn errors of a command into its exit code, and show them.

    Args:
        as_json: whether the error is also written to standard output as an event.
    """
    try:
        yield
    except CeremonyError as error:
        if as_json:
            print_json({"event": "error", **error.as_dict()})
        sys.stderr.write(error.render() + "\n")
        raise SystemExit(exit_code(error)) from error
    except KeyboardInterrupt as interrupt:
        sys.stderr.write("stopped; give the same command again to go on\n")
        raise SystemExit(WAITING) from interrupt


def stop_like_ctrl_c() -> None:
    """Let a polite kill mean the same as Ctrl-C, and be followed whatever still waits.

    A shell has Ctrl-C ignored by what it starts with `&`. And a thread may wait for a party that
    is gone: after a while the process ends with that. Nothing but time is lost, since what counts
    is durable before anybody hears of it.
    """
    told = threading.Event()

    def end_soon() -> None:
        told.wait()
        threading.Event().wait(GRACE_SECONDS)
        os._exit(WAITING)

    def stop(*_: object) -> None:
        told.set()
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=end_soon, name="end", daemon=True).start()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, stop)
