"""A finished ceremony, checked again by anybody: offline, without secrets and without Temporal."""

from __future__ import annotations

from infra.verify.agenda import verify
from infra.verify.command import verify_command
from infra.verify.verdict import Check, Outcome, Verdict

__all__ = ["Check", "Outcome", "Verdict", "verify", "verify_command"]
