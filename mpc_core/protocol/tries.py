"""How often something was tried on the log (PROTOCOL.md, "Model").

The same bytes stand on the log once. What is void where it stands may be due again later, so its
next try carries another number.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpc_core.protocol.rules import require

if TYPE_CHECKING:
    from mpc_core.protocol.entries import Blame, Close, Summons, WriteOff

__all__ = ["Tries"]


@dataclass(slots=True)
class Tries:
    """The tries so far, by kind of the entry and what it is about."""

    _made: Counter[tuple[str, str | int]] = field(default_factory=Counter)

    def take(self, entry: Blame | Close | Summons | WriteOff, about: str | int) -> None:
        """Count a try, which may turn out to be void.

        Only the one whose turn it is counts: whoever collected signatures for it may assemble them
        in many ways, and is not to use up numbers with that.

        Raises:
            VoidEntryError: if another number is the next one.
        """
        number = self.next(entry.kind, about)
        require(entry.serial == number, f"another {entry.kind} is the next one")
        self._made[entry.kind, about] += 1

    def next(self, kind: str, about: str | int) -> int:
        """Return the number of the next try."""
        return self._made[kind, about]
