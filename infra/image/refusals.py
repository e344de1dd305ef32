"""How building, measuring and releasing an image refuse: every error has the same page."""

from __future__ import annotations

from mpc_core.protocol.errors import CeremonyError

__all__ = ["image_error"]


def image_error(
    code: str,
    subject: str,
    expected: str,
    found: str,
    next_step: str,
    *,
    effect: str = "nothing was done",
) -> CeremonyError:
    """Return an error of area IMAGE or RELEASE, which have one page."""
    return CeremonyError(
        code,
        subject,
        expected=expected,
        found=found,
        effect=effect,
        next_step=next_step,
        runbook="image-refused",
    )
