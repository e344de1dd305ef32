"""How stores of objects, and operators that do not believe them, refuse."""

from __future__ import annotations

from mpc_core.protocol.errors import CeremonyError, PageErrors

__all__ = ["somebody_else_writes", "store_error"]

store_error = PageErrors(
    effect="nothing was written, and nothing of it is believed",
    runbook="sealed-store",
)
"""Makes errors of area STORE."""


def somebody_else_writes(key: str) -> CeremonyError:
    """Return the error for an object that is not the one that was to be replaced."""
    return store_error(
        "RF-STORE-002",
        f"object {key} is not the one that this process left there",
        "one process that writes an operator's objects",
        "another object under that name",
        "end the other process that runs with this store; if there is none, suspect the store",
        effect="this process stops, so that two do not act for one operator",
    )
