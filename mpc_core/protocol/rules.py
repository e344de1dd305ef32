"""How a rule says no: an entry that is invalid at its position is void, with a reason."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Void", "VoidEntryError", "require"]


@dataclass(frozen=True, slots=True)
class Void:
    """An entry that counts for nothing."""

    position: int
    kind: str
    signers: tuple[int, ...]
    reason: str


class VoidEntryError(Exception):
    """Raised by a rule before it changed anything; never leaves the state machine."""


def require(condition: bool, reason: str) -> None:
    """Void the entry at hand unless the condition holds."""
    if not condition:
        raise VoidEntryError(reason)
