"""How governance says no."""

from __future__ import annotations

from mpc_core.protocol.errors import PageErrors

__all__ = ["governance_error"]


governance_error = PageErrors(
    effect="nothing was changed",
    runbook="governance",
)
"""Makes errors whose page is that of governance."""
