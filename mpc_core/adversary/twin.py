"""The places where an operator's honest steps can be made to lie.

A twin takes part in the same code paths as an honest operator: ports and steps hand it what the
honest operator would say, and do what it says instead. It is pure; its luck is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping

    from mpc_core.adversary.elsewhere import Elsewhere
    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Claim", "Twin", "flipped"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What an attestation document says, whoever signs it.

    Attributes:
        registers: of the security module, by index.
        user_data: what binds the operator's keys.
        seconds: when it was made, by the operator's clock.
    """

    registers: Mapping[int, bytes]
    user_data: bytes
    seconds: float


class Twin:
    """An operator that says what the honest one says; adversaries override one hook or a few.

    Attributes:
        index: its seat.
        luck: what it draws from.
        fellows: the seats of all liars, its own too.
        elsewhere: what was said in another ceremony, for who needs that.
        eagerness: how often it says something unasked when it has a turn.
    """

    eagerness = 0.2
    needs_elsewhere = False
    fellows: frozenset[int]
    elsewhere: Elsewhere

    def __init__(self, index: int, luck: random.Random) -> None:
        """Take a seat."""
        self.index, self.luck = index, luck
        self.fellows = frozenset({index})

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Return what is posted instead of an entry."""
        del state
        return (entry,)

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Return what is posted without any reason."""
        del state
        return ()

    def repeats(self) -> Iterable[bytes]:
        """Return what is posted as somebody signed it."""
        return ()

    def whispers(self, state: CeremonyState) -> Iterable[tuple[int, Entry]]:
        """Return what is shown to one operator only, with whom that is."""
        del state
        return ()

    def asked(self, statement: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Return what is posted when it is asked to sign a statement."""
        del statement, state
        return ()

    def somebody(self, state: CeremonyState) -> int:
        """Return one of the others."""
        return self.luck.choice([each for each in state.quorum.everyone if each != self.index])

    def vector(self, stage: str, data: bytes) -> bytes:
        """Return the share vector that is committed to, instead of the right one."""
        del stage
        return data

    def opening(self, stage: str, data: bytes) -> bytes:
        """Return the v that is committed to as decoder, instead of the right one."""
        del stage
        return data

    def serves(self, asker: int, data: bytes) -> bytes | None:
        """Return what an asker of a blob gets, None for no answer."""
        del asker
        return data

    def envelope(self, data: bytes) -> bytes:
        """Return what goes to the board instead of a signed entry."""
        return data

    def attests(self, claim: Claim) -> Claim | None:
        """Return what the documents of its enclave say, None if it shows none."""
        return claim

    def endorses(self, *, honest: bool) -> bool:
        """Tell whether it signs a statement, given whether an honest operator would."""
        return honest


def flipped(data: bytes, place: int = 0, difference: int = 2) -> bytes:
    """Return bytes with something added to one of them."""
    place %= len(data)
    changed = (data[place] + difference) & 0xFF
    return data[:place] + bytes([changed]) + data[place + 1 :]
