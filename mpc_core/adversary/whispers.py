"""Answers that are not posted like others: shown to one operator only, or when the seal is due."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mpc_core.adversary.twin import Twin, flipped
from mpc_core.protocol.context import OFFLINE
from mpc_core.protocol.entries import Answer, Seal

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.state import CeremonyState

__all__ = ["AnswersAtTheSeal", "WhispersAnotherAnswer", "WhispersItsOnlyAnswer"]


class WhispersAnotherAnswer(Twin):
    """Its answers are right, and one other operator is shown others."""

    def __init__(self, index: int, luck: random.Random) -> None:
        """Remember what it has answered."""
        super().__init__(index, luck)
        self.answered: list[Answer] = []

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Remember what is posted."""
        del state
        if isinstance(entry, Answer) and entry.batch.stage in OFFLINE:
            self.answered.append(entry)
        return (entry,)

    def whispers(self, state: CeremonyState) -> Iterable[tuple[int, Entry]]:
        """Show somebody another answer once the log has the right one."""
        waiting = []
        for entry in self.answered:
            if self._is_on_the_log(entry, state):
                yield self.somebody(state), replace(entry, values=flipped(entry.values))
            else:
                waiting.append(entry)
        self.answered = waiting

    def _is_on_the_log(self, entry: Answer, state: CeremonyState) -> bool:
        opening = state.opening((entry.batch.stage, entry.batch.batch))
        return (
            opening is not None
            and opening.context == entry.context
            and self.index in opening.rounds[entry.round].answers
        )


class WhispersItsOnlyAnswer(Twin):
    """It posts some answers nowhere, and shows wrong ones to one other operator."""

    chance = 0.3

    def __init__(self, index: int, luck: random.Random) -> None:
        """Remember what it keeps back."""
        super().__init__(index, luck)
        self.kept: list[Answer] = []

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Keep some answers back."""
        del state
        if isinstance(entry, Answer) and entry.batch.stage in OFFLINE:
            seed = entry.context[self.index % len(entry.context)]
            if seed < 256 * self.chance:
                self.kept.append(entry)
                return ()
        return (entry,)

    def whispers(self, state: CeremonyState) -> Iterable[tuple[int, Entry]]:
        """Show somebody wrong ones instead."""
        kept, self.kept = self.kept, []
        for entry in kept:
            yield self.somebody(state), replace(entry, values=flipped(entry.values))


class AnswersAtTheSeal(Twin):
    """It is silent about a batch until the seal is to be signed; then it answers wrongly."""

    BATCH = ("M", 0)

    def __init__(self, index: int, luck: random.Random) -> None:
        """Remember what it keeps back."""
        super().__init__(index, luck)
        self.kept: dict[bytes, Answer] = {}

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Keep the answers of one batch back."""
        del state
        if isinstance(entry, Answer) and (entry.batch.stage, entry.batch.batch) == self.BATCH:
            self.kept[entry.context] = entry
            return ()
        return (entry,)

    def asked(self, statement: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Answer wrongly before the seal, which others have signed, can be posted."""
        del state
        if not isinstance(statement, Seal):
            return ()
        late, self.kept = tuple(self.kept.values()), {}
        return [replace(entry, values=flipped(entry.values)) for entry in late]
