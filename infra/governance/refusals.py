"""How governance says no."""

from __future__ import annotations

from mpc_core.protocol.errors import CeremonyError

__all__ = ["governance_error"]


def governance_error(
    code: str,
    subject: str,
    expected: str,
    found: str,
    next_step: str,
    *,
    effect: str = "nothing was changed",
    operator: str = "",
) -> CeremonyError:
    """Return an error whose page is that of governance."""
    return CeremonyError(
        code,
        subject,
        expected=expected,
        found=found,
        effect=effect,
        next_step=next_step,
        runbook="governance",
        operator=operator,
    )
