"""The Temporal server of a sandbox with emulated lines: one of its own, behind one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.temporal.client import external_settings
from infra.temporal.find import Finder
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from infra.temporal.find import Report

__all__ = ["find_server"]


def find_server(report: Report) -> None:
    """Find the program of the server while the internet can be reached; later it comes by itself.

    Args:
        report: told what happens and how long it may take.

    Raises:
        CeremonyError: RF-NET-009 if the settings name a server, which cannot be reached from
            emulated lines; RF-TEMP-001 if there is no program.
    """
    settings = external_settings()
    if settings is not None:
        raise CeremonyError(
            "RF-NET-009",
            "the Temporal server that the settings name cannot be reached over emulated lines",
            expected="no TEMPORAL_ADDRESS and no profile: the sandbox starts a server of its own",
            found=settings["target_host"],
            effect="nothing was started",
            next_step="unset TEMPORAL_ADDRESS for this command, or leave out --network",
            runbook="network-shaped-runs",
        )
    Finder(report).find()
