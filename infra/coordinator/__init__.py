"""The coordinator: hosts the log, gives the orders, decides nothing."""

from __future__ import annotations

from infra.coordinator.process import run_coordinator

__all__ = ["run_coordinator"]
