"""Lies of an operator about itself: absences, replays, floods, signatures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mpc_core.adversary.batches import AnswersWrongly, KeepsAnswersBack
from mpc_core.adversary.twin import Twin, flipped
from mpc_core.protocol.entries import Address, Answer, Have, Return, Root

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.state import CeremonyState

__all__ = [
    "ChattersWithoutAnswers",
    "GoesOnAfterExclusion",
    "RepeatsItself",
    "ReturnsForEver",
    "SignsAnything",
    "SignsNothing",
    "SignsWithAnotherKey",
]


class ReturnsForEver(Twin):
    """It says "I am back" all the time, and is never there."""

    serial = 0

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Answer nothing."""
        del state
        return () if isinstance(entry, (Answer, Return)) else (entry,)

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Be back again."""
        known = state.members.returns.get(self.index, -1)
        self.serial = max(self.serial + 1, known + 1)
        return (Return(self.serial),)


class ReturnsAtOnce(ReturnsForEver):
    """It is back the moment that it is absent, and never there."""

    eagerness = 1.0


class ChattersWithoutAnswers(KeepsAnswersBack):
    """It signs message after message, but never its answers."""

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Move house."""
        known = state.addresses.get(self.index)
        return () if known is None else (replace(known, serial=known.serial + 1),)


class GoesOnAfterExclusion(AnswersWrongly):
    """It lies, is excluded, and goes on posting what an operator posts."""

    def __init__(self, index: int, luck: random.Random) -> None:
        """Remember what it has said."""
        super().__init__(index, luck)
        self.said: list[Entry] = []

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Remember what is posted."""
        said = tuple(super().posts(entry, state))
        self.said.extend(said)
        return said

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Say it under other names once nobody listens."""
        if self.index not in state.members.excluded or not self.said:
            return ()
        known = state.addresses.get(self.index)
        serial = 0 if known is None else known.serial + 1
        return (Address(serial, "127.0.0.1", 1), Return(serial), self.luck.choice(self.said))


class RepeatsItself(Twin):
    """It says what it said of one batch of another batch, attempt and round."""

    def __init__(self, index: int, luck: random.Random) -> None:
        """Remember what it has said."""
        super().__init__(index, luck)
        self.said: list[Root | Have | Answer] = []

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Remember what is posted."""
        del state
        if isinstance(entry, (Root, Have, Answer)):
            self.said.append(entry)
        return (entry,)

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Repeat something elsewhere."""
        openings = list(state.openings)
        if not self.said or not openings:
            return ()
        entry, opening = self.luck.choice(self.said), self.luck.choice(openings)
        attempt = replace(opening.name, attempt=opening.name.attempt + 1)
        return (
            replace(entry, batch=attempt),
            replace(entry, context=opening.context),
        )


class SignsWithAnotherKey(Twin):
    """Its signatures are not by the key of the plan, at times."""

    def envelope(self, data: bytes) -> bytes:
        """Spoil the signature, the last bytes of an envelope."""
        return flipped(data, -1) if self.luck.random() < 0.3 else data  # noqa: PLR2004


class SignsNothing(Twin):
    """It signs no statement."""

    def endorses(self, *, honest: bool) -> bool:
        """Refuse."""
        del honest
        return False


class SignsAnything(Twin):
    """It signs every statement that it is shown."""

    def endorses(self, *, honest: bool) -> bool:
        """Agree."""
        del honest
        return True
