"""The log of a process: JSON lines on standard error, which whoever started it keeps in a file.

Events are named facts with fields. Bytes are refused: shares, keys and masks are bytes wherever
they occur, so no log line can carry one by accident; digests are logged as hex text.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO, cast

import structlog
from structlog.tracebacks import ExceptionDictTransformer

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["configure_logging"]

BINARY = (bytes, bytearray, memoryview)


_TRACEBACKS = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
"""Local variables may be shares and keys: a log shows none."""


def configure_logging(process: str, level: int = logging.INFO) -> None:
    """Let structlog and the standard library write to standard error.

    Args:
        process: name of the party, a field of every line.
        level: the least severe level that is written.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _TRACEBACKS,
            _refuse_bytes,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Patient(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)


class _Patient:
    """A stream whose disk may be full: no party ends because its log cannot be written.

    What the stream has not written yet stays in its buffer, and goes out with a later line.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def _refuse_bytes(
    _: object, __: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    return {name: _printable(value) for name, value in event.items()}


def _printable(value: object) -> object:
    if isinstance(value, BINARY):
        return f"<{len(value)} bytes>"
    if isinstance(value, dict):
        return {name: _printable(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_printable(each) for each in value]
    return value
