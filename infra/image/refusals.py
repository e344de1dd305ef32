"""How building, measuring and releasing an image refuse: every error has the same page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError, PageErrors

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["UNREADABLE", "image_error", "read_limited", "unreadable"]

UNREADABLE = "RF-IMAGE-003"


image_error = PageErrors(
    effect="nothing was done",
    runbook="image-refused",
)
"""Makes errors of area IMAGE or RELEASE, which have one page."""


def unreadable(path: Path, error: Exception) -> CeremonyError:
    """Return the error for a file that the system, or the library of its format, does not read."""
    found = getattr(error, "strerror", None) or type(error).__name__
    subject = f"{path} cannot be read"
    return image_error(UNREADABLE, subject, "a readable file", found, "check the path")


def read_limited(path: Path, most: int) -> bytes:
    """Return the content of a file; of one that is longer than `most`, one byte more than that.

    Raises:
        CeremonyError: RF-IMAGE-003 if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise unreadable(path, error) from error
