"""Who was accused of what in a ceremony, as files that anybody can check without us."""

from __future__ import annotations

from infra.evidence.bundle import Bundle, read_bundle, write_bundle
from infra.evidence.check import check_bundle
from infra.evidence.command import list_command, show_command, verify_command

__all__ = [
    "Bundle",
    "check_bundle",
    "list_command",
    "read_bundle",
    "show_command",
    "verify_command",
    "write_bundle",
]
