"""What close entries say: which entries come too late after them, and which values they refute.

PROTOCOL.md, "Model": before it signs such a statement, or a head that covers one, an operator looks
whether the entries that reached it in time stand before it. The close of a refuted round puts an
end to nothing: answers are owed for closed rounds, too.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mpc_core.protocol.entries import (
    Address,
    Answer,
    Attestation,
    Close,
    Complaint,
    Contribution,
    Correction,
    Decision,
    Decoded,
    Destruction,
    Entry,
    Examined,
    Have,
    KemKey,
    Refused,
    Return,
    Root,
    Seal,
    Served,
    Unserved,
)

__all__ = ["Refutation", "comes_too_late_after", "is_deadline", "refutation_in"]

_REFUTED = re.compile(r"refuted/([0-9a-f]{64})/(0|[1-9][0-9]{0,8})/([0-9a-f]{64})", re.ASCII)

_NO_MATTER_TO_A_SEAL = (
    Address,
    Attestation,
    Decision,
    Destruction,
    Have,
    Refused,
    Return,
    Served,
    Unserved,
)
_IN_SETUP: dict[str, tuple[type[Entry], ...]] = {
    "kem-keys": (KemKey,),
    "contributions": (Contribution,),
    "complaints": (Complaint, Examined),
}
_IN_BATCH: dict[str, tuple[type[Entry], ...]] = {
    "roots": (Root,),
    "round": (Decoded, Have),
    "answers": (Answer,),
    "recomputation": (Answer, Correction),
}


def is_deadline(entry: Entry) -> bool:
    """Tell whether entries may come too late for this statement."""
    return isinstance(entry, (Close, Seal))


def comes_too_late_after(statement: Entry, entry: Entry) -> bool:
    """Tell whether a message changes something before this statement, and nothing after it.

    Security: for a seal this is whatever may touch a batch of the preprocessing. What only says
        where somebody is, what it runs, whom it refuses, what it wants decided, that it leaves, or
        that it holds or serves something, is not: with it any operator could put a seal off.
    """
    if isinstance(statement, Seal):
        return not isinstance(entry, _NO_MATTER_TO_A_SEAL)
    if not isinstance(statement, Close):
        return False
    step, *rest = statement.slot.split("/")
    if step in _IN_SETUP:
        is_round = not isinstance(entry, Contribution) or rest == [str(entry.round)]
        return isinstance(entry, _IN_SETUP[step]) and is_round
    if not isinstance(entry, _IN_BATCH.get(step, ())) or not rest:
        return False
    is_turn = not isinstance(entry, (Answer, Decoded)) or rest[1:] == [str(entry.round)]
    return getattr(entry, "context", b"").hex() == rest[0] and is_turn


class Refutation(NamedTuple):
    """What n-t operators say of a round whose answers fit one another but not v.

    Attributes:
        context: of the batch.
        round: q.
        digest: of the value that the answers have at 0 (`batch.digest_of_value`). It is not sum
            rho v.
    """

    context: bytes
    round: int
    digest: bytes

    @property
    def slot(self) -> str:
        """The slot of the close entry that says so."""
        return f"refuted/{self.context.hex()}/{self.round}/{self.digest.hex()}"


def refutation_in(entry: Entry) -> Refutation | None:
    """Return what a close entry says of a refuted value, None if it is another entry."""
    named = _REFUTED.fullmatch(entry.slot) if isinstance(entry, Close) else None
    if named is None:
        return None
    return Refutation(bytes.fromhex(named[1]), int(named[2]), bytes.fromhex(named[3]))
