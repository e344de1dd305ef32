"""Who takes part: absent, returned, excluded, summoned and written-off operators.

- *Absent* is who owed an entry at a close entry and has posted no return since. It is not waited
  for, but what it posts counts.
- *Written off* is who stayed silent after a summons of n-t operators; it lasts until the operator
  has posted every answer then due. Excluded and written-off operators together are at most t.
- *Rejoined* is who lost its state and was let in again by n-t others: before that it signs nothing.
- *Excluded* is who was proven to lie: its later entries are void and its answers ignored.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpc_core.protocol.rules import require

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from mpc_core.protocol.entries import Rejoin, Return, Summons, WriteOff
    from mpc_core.protocol.quorum import Health, Quorum

__all__ = ["Members"]

ENTRIES_AWAY = 8
"""Entries of every operator, about two batches' worth: the unit in which an absence is measured."""

KEY_DIGEST_BYTES = 32


@dataclass(slots=True)
class Members:
    """Bookkeeping of participation along the log."""

    quorum: Quorum
    absent: set[int] = field(default_factory=set)
    excluded: set[int] = field(default_factory=set)
    written_off: set[int] = field(default_factory=set)
    returns: dict[int, int] = field(default_factory=dict)
    returned_at: dict[int, int] = field(default_factory=dict)
    absent_at: dict[int, int] = field(default_factory=dict)
    sealed: bool = False
    returned: Counter[int] = field(default_factory=Counter)
    summonses: dict[int, Summons] = field(default_factory=dict)
    rejoins: dict[int, Rejoin] = field(default_factory=dict)

    @property
    def accountable(self) -> frozenset[int]:
        """Operators neither excluded nor written off: completeness needs all of them."""
        return frozenset(self.quorum.everyone) - self.excluded - self.written_off

    @property
    def signers(self) -> frozenset[int]:
        """Operators that are asked for signatures: absent ones are only not waited for."""
        return frozenset(self.quorum.everyone) - self.excluded

    @property
    def awaited(self) -> frozenset[int]:
        """Operators that are waited for: accountable and not absent."""
        return self.accountable - self.absent

    @property
    def losses(self) -> int:
        """How many operators are excluded or written off."""
        return len(self.excluded | self.written_off)

    @property
    def health(self) -> Health:
        """The word for how many are present."""
        return self.quorum.health(len(self.awaited))

    def miss(self, operators: AbstractSet[int], position: int) -> None:
        """Take note of who owed an entry at a close entry."""
        for operator in operators - self.absent:
            self.absent_at[operator] = position
        self.absent |= operators

    def may_return(self, operator: int, position: int) -> bool:
        """Tell whether a return at this log position counts.

        The first one counts at once. Each further one counts after twice as many entries, so that
        who comes and goes cannot have everybody wait again and again. It always counts while too
        few are present for the log to grow, and after the seal, when it grows too little.
        """
        if self.sealed or len(self.awaited) < self.quorum.n_minus_t:
            return True
        returned = self.returned.get(operator, 0)
        pause = ENTRIES_AWAY * self.quorum.count * ((1 << min(returned, 32)) - 1)
        return position >= self.absent_at.get(operator, 0) + pause

    def come_back(self, operator: int, entry: Return, position: int) -> None:
        """Take note of a return."""
        require(operator in self.absent, "the operator is not absent")
        require(entry.serial > self.returns.get(operator, -1), "an older return has this serial")
        self.returns[operator] = entry.serial
        require(self.may_return(operator, position), "the operator came back too soon")
        self.returned[operator] += 1
        self.returned_at[operator] = position
        self.absent.discard(operator)

    def rejoin(self, signers: Iterable[int], entry: Rejoin) -> None:
        """Let an operator in again that lost its state.

        Security: n-t others have signed this for a key made after the loss. So a head that covers
            it extends every head that n-t operators, the one that forgot among them, ever signed.
        """
        require(entry.operator in self.quorum.everyone, "the operator is not in the plan")
        require(entry.operator not in self.excluded, "the operator is excluded")
        others = set(signers) - self.excluded - {entry.operator}
        require(self.quorum.signed_by(others), "fewer than n-t others signed it")
        require(entry.serial == self.next_rejoin(entry.operator), "another rejoin is the next one")
        require(len(entry.key) == KEY_DIGEST_BYTES, "a key digest has 32 bytes")
        self.rejoins[entry.operator] = entry

    def next_rejoin(self, operator: int) -> int:
        """Return the serial of an operator's next rejoin."""
        last = self.rejoins.get(operator)
        return 0 if last is None else last.serial + 1

    def summon(self, position: int, entry: Summons, owed: frozenset[str]) -> None:
        """Take note of a summons; `owed` are the slots for which that operator may be summoned."""
        require(entry.operator in self.accountable, "the operator is excluded or written off")
        require(bool(entry.missing), "the summons lists nothing")
        require(owed.issuperset(entry.missing), "the operator does not owe what the summons lists")
        self.summonses[position] = entry

    def write_off(self, entry: WriteOff, owed: frozenset[str]) -> None:
        """Write an operator off: none of what it was summoned for has come, and t is not passed."""
        summons = self.summonses.get(entry.summons)
        require(
            summons is not None and summons.operator == entry.operator,
            "there is no summons of this operator at that position",
        )
        require(entry.operator in self.accountable, "the operator is excluded or written off")
        require(
            summons is not None and owed.issuperset(summons.missing),
            "the operator has posted something it was summoned for",
        )
        require(
            self.losses < self.quorum.threshold, "t operators are excluded or written off already"
        )
        self.written_off.add(entry.operator)
