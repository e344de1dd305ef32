"""Ctrl-C and the signals that mean the same."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["signals_as_interrupt", "signals_call"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_call(action: Callable[[], None]) -> Iterator[None]:
    """Call `action` in the main thread on each of the signals, instead of what happens otherwise.

    Around a clean-up, the action hastens it: no second Ctrl-C can leave a process behind.
    """
    before = {number: signal.signal(number, lambda *_: action()) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt on each of the signals, as Ctrl-C does by itself."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with signals_call(interrupt):
        yield
