"""Two words where there is room for one: the first valid entry of a slot counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mpc_core.adversary.twin import Twin, flipped
from mpc_core.protocol.entries import Answer, Contribution, Decoded, Root

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.state import CeremonyState

__all__ = ["AnswersTwice", "CommitsTwice", "ContributesTwice", "DecodesTwice"]


class _SaysTwice(Twin):
    """It says something right, and something else in the same place: to all, and to one alone."""

    def __init__(self, index: int, luck: random.Random) -> None:
        """Remember what to say to somebody."""
        super().__init__(index, luck)
        self.second: list[Entry] = []

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Say it, and then the other thing."""
        del state
        other = self.other(entry)
        if other is None:
            return (entry,)
        self.second.append(other)
        return (entry, other)

    def whispers(self, state: CeremonyState) -> Iterable[tuple[int, Entry]]:
        """Show somebody the other thing."""
        said, self.second = self.second, []
        return [(self.somebody(state), entry) for entry in said]

    def other(self, entry: Entry) -> Entry | None:
        """Return what contradicts an entry, None where nothing is contradicted."""
        raise NotImplementedError


class CommitsTwice(_SaysTwice):
    """It signs a second root of its share vector."""

    def other(self, entry: Entry) -> Entry | None:
        """Name another vector."""
        return replace(entry, root=flipped(entry.root)) if isinstance(entry, Root) else None


class DecodesTwice(_SaysTwice):
    """As decoder it signs a second v of the same round."""

    def other(self, entry: Entry) -> Entry | None:
        """Name another v."""
        return replace(entry, root=flipped(entry.root)) if isinstance(entry, Decoded) else None


class AnswersTwice(_SaysTwice):
    """It signs a second answer to a challenge."""

    def other(self, entry: Entry) -> Entry | None:
        """Give another answer."""
        return replace(entry, values=flipped(entry.values)) if isinstance(entry, Answer) else None


class ContributesTwice(_SaysTwice):
    """It signs a second contribution, with commitments to other strings."""

    def other(self, entry: Entry) -> Entry | None:
        """Commit to other strings."""
        if not isinstance(entry, Contribution):
            return None
        return replace(entry, commitments=tuple(map(flipped, entry.commitments)))
