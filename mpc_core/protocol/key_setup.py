"""The PRSS key setup along the log (PROTOCOL.md, "PRSS keys"); its rules are in `setup`.

Phases: KEM keys of everybody; contributions, in as many rounds as sets need; complaints, until
their close fixes all keys; acknowledgements, until the setup is sealed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from mpc_core.protocol.context import STAGES
from mpc_core.protocol.quorum import AccessSet, access_sets
from mpc_core.protocol.rules import require
from mpc_core.protocol.setup import (
    ReferenceTable,
    SetupFacts,
    Source,
    differing_operators,
    key_sources,
    reference_table,
    references_digest,
    sets_contributed_by,
    sets_of,
    sets_to_replace,
)

if TYPE_CHECKING:
    from mpc_core.protocol.entries import (
        Acknowledgement,
        Complaint,
        Contribution,
        KemKey,
        SetupSeal,
    )
    from mpc_core.protocol.members import Members
    from mpc_core.protocol.quorum import Quorum

__all__ = ["KeySetup", "SetupPhase"]

HASH_BYTES = 32


class SetupPhase(StrEnum):
    """What the setup waits for."""

    KEM_KEYS = "kem-keys"
    CONTRIBUTIONS = "contributions"
    COMPLAINTS = "complaints"
    ACKNOWLEDGEMENTS = "acknowledgements"
    SEALED = "sealed"


@dataclass(slots=True)
class KeySetup:
    """What the log holds of the setup. Every method checks before it changes anything.

    Attributes:
        quorum: n and t.
        kem_keys: first KEM key of every operator: the contributions are sealed to these.
        changed_keys: latest KEM key of who changed its key after the contributions began.
        contributions: valid contributions by (operator, round).
        asked: the sets of every round begun.
        closed: number of closed rounds.
        complaints: valid (complainer, contributor).
        examined: operators that have opened every contribution.
        complaint_close: log position that fixes all keys, None before.
        acknowledgements: latest references by operator.
        sealed_at: log position of the setup seal, None before.
    """

    quorum: Quorum
    kem_keys: dict[int, bytes] = field(default_factory=dict)
    changed_keys: dict[int, bytes] = field(default_factory=dict)
    contributions: dict[tuple[int, int], Contribution] = field(default_factory=dict)
    asked: list[tuple[AccessSet, ...]] = field(default_factory=list)
    closed: int = 0
    complaints: set[tuple[int, int]] = field(default_factory=set)
    examined: set[int] = field(default_factory=set)
    complaint_close: int | None = None
    acknowledgements: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    sealed_at: int | None = None
    _table: ReferenceTable | None = None

    @property
    def phase(self) -> SetupPhase:
        """What the setup waits for."""
        if self.sealed_at is not None:
            return SetupPhase.SEALED
        if self.complaint_close is not None:
            return SetupPhase.ACKNOWLEDGEMENTS
        if not self.asked:
            return SetupPhase.KEM_KEYS
        return SetupPhase.CONTRIBUTIONS if self.closed < len(self.asked) else SetupPhase.COMPLAINTS

    @property
    def facts(self) -> SetupFacts:
        """The contributions and complaints as values."""
        return SetupFacts(
            posted=frozenset(self.contributions),
            asked=tuple(self.asked),
            closed=self.closed,
            complaints=frozenset(self.complaints),
            rekeyed=frozenset(self.changed_keys),
        )

    # -- entries ----------------------------------------------------------------------------------

    def post_kem_key(self, author: int, entry: KemKey) -> None:
        """Take an operator's KEM key; once contributions began, a new one voids its complaints."""
        require(self.complaint_close is None, "all keys are fixed")
        if self.contributions:
            require(self.kem_keys[author] != entry.public_key, "the KEM key is not new")
            self.changed_keys[author] = entry.public_key
            return
        require(author not in self.kem_keys, "the author has posted a KEM key")
        self.kem_keys[author] = entry.public_key
        if len(self.kem_keys) == self.quorum.count:
            self.asked.append(access_sets(self.quorum))

    def post_contribution(self, author: int, entry: Contribution) -> None:
        """Take an operator's contribution to all sets that the round asks it for, or nothing."""
        require(self.phase is SetupPhase.CONTRIBUTIONS, "no contributions are asked for")
        require(entry.round == self.closed, "another round of contributions is open")
        require((author, entry.round) not in self.contributions, "the author has contributed")
        sets = self.sets_asked(author, entry.round)
        require(bool(sets), "this round does not ask the author")
        require(len(entry.commitments) == len(sets), "commitments do not match the sets asked")
        require(all(len(c) == HASH_BYTES for c in entry.commitments), "a commitment has 32 bytes")
        peers = tuple(sorted({member for members in sets for member in members} - {author}))
        require(
            tuple(peer for peer, _ in entry.ciphertexts) == peers,
            "not one ciphertext for every peer, in order",
        )
        self.contributions[author, entry.round] = entry

    def post_complaint(self, author: int, entry: Complaint) -> None:
        """Take a complaint of a member about a contributor."""
        require(self.complaint_close is None, "complaints are closed")
        require(author != entry.contributor, "nobody complains about itself")
        require((author, entry.contributor) not in self.complaints, "the complaint is known")
        require(
            any(
                author in members
                for operator, round_number in self.contributions
                if operator == entry.contributor
                for members in self.sets_asked(operator, round_number)
            ),
            "the contributor has sent the author nothing",
        )
        self.complaints.add((author, entry.contributor))
        self._ask_again()

    def post_examined(self, author: int) -> None:
        """Take an operator's word that it has opened every contribution."""
        require(self.phase is SetupPhase.COMPLAINTS, "contributions are not complete")
        require(author not in self.examined, "the author has examined the contributions")
        self.examined.add(author)

    def close_contributions(self, number: int, members: Members) -> frozenset[int]:
        """Close a round of contributions; return who owed one."""
        require(self.phase is SetupPhase.CONTRIBUTIONS, "no contributions are asked for")
        require(number == self.closed, "another round of contributions is open")
        owing = frozenset(o for o in members.awaited if self.owes_contribution(o))
        self.closed += 1
        self._ask_again()
        return owing

    def close_complaints(self, position: int) -> None:
        """Close the complaints: every key is fixed."""
        require(self.phase is SetupPhase.COMPLAINTS, "contributions are not complete")
        self.complaint_close = position

    def post_acknowledgement(self, author: int, entry: Acknowledgement) -> None:
        """Take, or replace, the references of an operator's stage keys."""
        require(self.phase is SetupPhase.ACKNOWLEDGEMENTS, "no acknowledgement is asked for")
        require(entry.complaint_close == self.complaint_close, "it rests on no complaint close")
        count = len(STAGES) * len(sets_of(author, self.quorum))
        require(len(entry.references) == count, "references do not match the author's sets")
        require(all(len(r) == HASH_BYTES for r in entry.references), "a reference has 32 bytes")
        self.acknowledgements[author] = entry.references
        self._table = None

    def seal(self, position: int, entry: SetupSeal, members: Members) -> None:
        """Seal the setup: every stage key has its reference, everybody is accounted for."""
        require(self.phase is SetupPhase.ACKNOWLEDGEMENTS, "complaints are not closed")
        require(
            members.accountable <= self.acknowledgements.keys(), "an acknowledgement is missing"
        )
        table = self.references
        require(table is not None, "a stage key has no reference, or two")
        require(
            table is not None and references_digest(table) == entry.references,
            "the seal names other references",
        )
        self.sealed_at = position

    def _ask_again(self) -> None:
        if self.closed == len(self.asked):
            paused = sets_to_replace(self.facts, self.quorum)
            if paused:
                self.asked.append(paused)
                self.examined.clear()

    # -- what others see --------------------------------------------------------------------------

    def sets_asked(self, operator: int, round_number: int) -> tuple[AccessSet, ...]:
        """Return the sets for which a round that has begun asks this operator."""
        return sets_contributed_by(operator, self.quorum, round_number, self.asked[round_number])

    def owes_contribution(self, operator: int) -> bool:
        """Tell whether the open round asks this operator and it has not contributed."""
        return (
            self.phase is SetupPhase.CONTRIBUTIONS
            and (operator, self.closed) not in self.contributions
            and bool(self.sets_asked(operator, self.closed))
        )

    def sources(self, members: AccessSet) -> tuple[Source, ...]:
        """Return the contributions that make up k_A, in order; final once complaints are closed."""
        return key_sources(members, self.facts, self.quorum)

    @property
    def references(self) -> ReferenceTable | None:
        """The reference of every (set, stage), None unless each has exactly one."""
        if self._table is None:
            self._table = reference_table(self.acknowledgements, self.quorum)
        return self._table

    @property
    def differing(self) -> tuple[int, ...]:
        """Operators whose acknowledged values differ from the references."""
        table = self.references
        if table is None:
            return ()
        return differing_operators(self.acknowledgements, table, self.quorum)
