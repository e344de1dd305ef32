"""The PRSS key setup along the log (PROTOCOL.md, "PRSS keys"); its rules are in `setup`.

Phases: KEM keys, until everybody has one or their close; contributions, in as many rounds as sets
need; complaints, until their close fixes all keys; acknowledgements, until the setup is sealed.

- Nothing is sealed to who has no KEM key when contributions begin, and its complaints are void.
  Like everybody whose key is broken it gets the strings from other members of its sets.
- "Examined" means: I hold every string that counts, of all my sets. Complaints are closed once n-t
  operators have said so. Every set then has an honest member among them, from which the others get
  what they lack. When a complaint becomes void, strings count again: all examine again.
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
    effective_complaints,
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
        Examined,
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
        kem_keys: KEM keys posted in time: the contributions are sealed to these.
        changed_keys: latest KEM key of who posted one after the contributions began.
        contributions: valid contributions by (operator, round).
        asked: the sets of every round begun.
        closed: number of closed rounds.
        complaints: valid (complainer, contributor).
        examined: operators that hold every string that counts.
        examinations: how often everything that was examined had to be examined anew.
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
    examinations: int = 0
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
            rekeyed=frozenset(o for o in self.quorum.everyone if not self.can_open(o)),
        )

    # -- entries ----------------------------------------------------------------------------------

    def post_kem_key(self, author: int, entry: KemKey) -> None:
        """Take an operator's KEM key; once contributions began, a new one voids its complaints."""
        require(self.complaint_close is None, "all keys are fixed")
        if self.asked:
            latest = self.changed_keys.get(author, self.kem_keys.get(author))
            require(latest != entry.public_key, "the KEM key is not new")
            before = self._effective()
            self.changed_keys[author] = entry.public_key
            self._examine_what_counts_again(before)
            return
        require(author not in self.kem_keys, "the author has posted a KEM key")
        self.kem_keys[author] = entry.public_key
        if len(self.kem_keys) == self.quorum.count:
            self.asked.append(access_sets(self.quorum))

    def close_kem_keys(self, members: Members) -> frozenset[int]:
        """Begin the contributions without those that have no KEM key; return who owed one."""
        require(self.phase is SetupPhase.KEM_KEYS, "contributions have begun")
        require(len(self.kem_keys) >= self.quorum.n_minus_t, "fewer than n-t KEM keys are here")
        self.asked.append(access_sets(self.quorum))
        return members.awaited - self.kem_keys.keys()

    def post_contribution(self, author: int, entry: Contribution) -> None:
        """Take an operator's contribution to all sets that the round asks it for, or nothing."""
        require(self.phase is SetupPhase.CONTRIBUTIONS, "no contributions are asked for")
        require(entry.round == self.closed, "another round of contributions is open")
        require((author, entry.round) not in self.contributions, "the author has contributed")
        sets = self.sets_asked(author, entry.round)
        require(bool(sets), "this round does not ask the author")
        require(len(entry.commitments) == len(sets), "commitments do not match the sets asked")
        require(all(len(c) == HASH_BYTES for c in entry.commitments), "a commitment has 32 bytes")
        require(
            tuple(peer for peer, _ in entry.ciphertexts) == self.peers_of(author, sets),
            "not one ciphertext for every peer with a KEM key, in order",
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
        before = self._effective()
        self.complaints.add((author, entry.contributor))
        self._examine_what_counts_again(before)
        self._ask_again()

    def post_examined(self, author: int, entry: Examined) -> None:
        """Take an operator's word that it holds every string that counts, of all its sets."""
        require(self.phase is SetupPhase.COMPLAINTS, "contributions are not complete")
        require(entry.serial == self.examinations, "what counts has changed since")
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
        require(
            len(self.examined) >= self.quorum.n_minus_t,
            "fewer than n-t operators have examined the contributions",
        )
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
                self._forget_examinations()

    def _effective(self) -> frozenset[tuple[int, int]]:
        facts = self.facts
        return effective_complaints(facts.complaints, facts.rekeyed, self.quorum)

    def _examine_what_counts_again(self, before: frozenset[tuple[int, int]]) -> None:
        """Have all examine again when a complaint that zeroed strings does so no more."""
        if not before <= self._effective():
            self._forget_examinations()

    def _forget_examinations(self) -> None:
        self.examinations += 1
        self.examined.clear()

    # -- what others see --------------------------------------------------------------------------

    def sets_asked(self, operator: int, round_number: int) -> tuple[AccessSet, ...]:
        """Return the sets for which a round that has begun asks this operator."""
        return sets_contributed_by(operator, self.quorum, round_number, self.asked[round_number])

    def peers_of(self, contributor: int, sets: tuple[AccessSet, ...]) -> tuple[int, ...]:
        """Return to whom a contribution to these sets is sealed, ascending."""
        members = {member for each in sets for member in each}
        return tuple(sorted(members & self.kem_keys.keys() - {contributor}))

    def can_open(self, operator: int) -> bool:
        """Tell whether an operator has the KEM key that contributions are sealed to, as it says."""
        return operator not in self.changed_keys and (not self.asked or operator in self.kem_keys)

    def says_it_cannot_open(self, operator: int) -> bool:
        """Tell whether the log shows that an operator has to get strings from other members."""
        complaints = sum(complainer == operator for complainer, _ in self.complaints)
        return not self.can_open(operator) or complaints > self.quorum.threshold

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

    def must_examine_again(self, operator: int) -> bool:
        """Tell whether what counts has changed since an operator was asked to examine it."""
        outdated = bool(self.examinations) and operator not in self.examined
        return outdated and self.phase is SetupPhase.COMPLAINTS

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
