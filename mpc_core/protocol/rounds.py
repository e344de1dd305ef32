"""One decoder's turn in the opening of a batch (PROTOCOL.md, "Opening a batch")."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpc_core.protocol.batch import Verdict

if TYPE_CHECKING:
    from mpc_core.protocol.entries import Decoded

__all__ = ["Round"]


@dataclass(slots=True)
class Round:
    """One decoder's turn.

    Attributes:
        number: q.
        decoder: fixed by the log prefix at which the round opened.
        decoded: the valid decoder's entry, if any.
        position: log position of that entry.
        log_root: root of the prefix that ends with it: what the challenge is from.
        answers: Y by operator.
        closed_at: log position of the close that opened the next round, None while it is open.
        missed: who owed its answer at a close of them. Whatever it says afterwards, this batch does
            not wait for it again: who comes back for ever could have it waited for for ever.
        verdict: what the answers say.
        odd: digest of the value that the answers have at 0 while they do not fit v, else "".
    """

    number: int
    decoder: int
    decoded: Decoded | None = None
    position: int = -1
    log_root: bytes = b""
    answers: dict[int, bytes] = field(default_factory=dict)
    closed_at: int | None = None
    missed: set[int] = field(default_factory=set)
    verdict: Verdict = Verdict.OPEN
    odd: bytes = b""

    @property
    def closed(self) -> bool:
        """Whether the next round is open."""
        return self.closed_at is not None
