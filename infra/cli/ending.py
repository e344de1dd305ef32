"""How every command ends: an exit code, and an error that a person can act on.

0 ok, 1 failed, 2 usage, 3 waiting or degraded (the same command with --resume goes on), 4 a
verification failed. Data goes to standard output, everything else to standard error. An expected
fault shows no traceback; anything else is a defect and does.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["FAILED", "UNVERIFIED", "WAITING", "ending", "exit_code", "print_json"]

FAILED, WAITING, UNVERIFIED = 1, 3, 4

STOPPED_CODES = frozenset({"RF-RUN-007", "RF-RUN-009"})
"""Errors after which the ceremony only waits to be resumed."""


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
