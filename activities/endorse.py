"""When an operator signs a statement (PROTOCOL.md, "Model" and "Stages and sealing").

Only if its own copy of the log, under a co-signed checkpoint, calls for the very same statement,
and the deadline that it closes has run out on this operator's own clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.work.phases import requested_list
from mpc_core.protocol.entries import (
    Acknowledgement,
    Announcement,
    Answer,
    Close,
    DecryptionRequest,
    Entry,
    KeySet,
    Rejoin,
    Seal,
    Summons,
    WriteOff,
)
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.owed import slot_of
from mpc_core.protocol.statements import Due, due_statement

if TYPE_CHECKING:
    from activities.acceptance import Acceptance
    from activities.operator import Operator
    from activities.rejoin import Seat
    from activities.stock import Stock
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Endorser"]

_PATIENCE_WITH_TALKERS = 3
"""Waiting times after which a summoned operator is written off whatever else it signs."""


@dataclass(frozen=True, slots=True)
class Endorser:
    """Decides whether this operator signs a statement."""

    operator: Operator
    acceptance: Acceptance
    seat: Seat
    stock: Stock

    def objection(self, entry: Entry) -> str:
        """Return why this operator does not sign now, "" if it does."""
        if isinstance(entry, Seal):
            self.operator.log.wait_for(lambda state: True if state.size >= entry.size else None)
        if isinstance(entry, (Summons, WriteOff)) and entry.operator == self.operator.index:
            return "it is about this operator itself"
        due = self.operator.log.read(lambda state: _due(state, entry))
        if not isinstance(due, Due) or due.entry != entry:
            return "the log does not call for this statement"
        if isinstance(entry, WriteOff):
            return self._write_off_objection(entry, due)
        return (
            self._deadline_objection(due)
            or self._withheld_objection(entry)
            or self._content_objection(entry)
        )

    def _deadline_objection(self, due: Due) -> str:
        if due.since < 0:
            return ""
        waited = self.operator.log.seconds_since_covered(due.since)
        allowed = due.seconds(self.operator.log.read(lambda state: state.deadlines))
        return (
            "" if waited >= allowed else f"the deadline runs for another {allowed - waited:.1f} s"
        )

    def _withheld_objection(self, entry: Entry) -> str:
        """Nothing that reached this operator in time may be left behind (the slot rule)."""
        lacking = self.operator.log.hand_over(entry)
        return f"{lacking} entries that it ends the time for were not on the log" if lacking else ""

    def _content_objection(self, entry: Entry) -> str:
        if isinstance(entry, KeySet) and self.acceptance.digest() != entry.digest:
            return "this operator has not rebuilt the key set with this digest"
        if isinstance(entry, Seal):
            return self.stock.objection()
        if isinstance(entry, Rejoin):
            return self.seat.objection(entry)
        if isinstance(entry, Announcement):
            return self.acceptance.objection()
        if isinstance(entry, DecryptionRequest):
            return self._request_objection(entry)
        return ""

    def _request_objection(self, entry: DecryptionRequest) -> str:
        """Floods are spent when the request is on the log, so what it names is read before."""
        if not self.operator.parameters.insecure:
            return "ciphertexts are decrypted under insecure parameter sets only"
        try:
            requested_list(self.operator, entry)
        except CeremonyError as refusal:
            return str(refusal)
        return ""

    def _write_off_objection(self, entry: WriteOff, due: Due) -> str:
        """Two clocks must have run out, and a call past the coordinator must bring nothing."""
        log = self.operator.log
        waiting = log.read(lambda state: state.deadlines.waiting_seconds)
        since_summons = log.seconds_since_covered(due.since)
        silent = min(log.seconds_since_heard(entry.operator), since_summons) >= waiting
        if not silent and since_summons < _PATIENCE_WITH_TALKERS * waiting:
            return f"the waiting time of {waiting:.0f} s since the summons has not passed"
        missing = log.read(lambda state: state.members.summonses[entry.summons].missing)
        try:
            envelopes = self.operator.peers.owed_entries(entry.operator, missing)
        except CeremonyError:
            return ""  # it cannot be reached: that is what a write-off is for
        owed = [envelope for envelope in envelopes if self._is_owed(entry, missing, envelope)]
        refusals = [refusal for envelope in owed if (refusal := self._refusal(envelope))]
        if not owed:
            return ""
        return "; ".join(["the operator answered a direct call", *refusals])

    def _is_owed(self, entry: WriteOff, missing: tuple[str, ...], envelope: bytes) -> bool:
        """Tell whether these bytes are what the summons asks for, and the log would take them.

        Whatever else an operator answers is as if nothing had come: nobody may put off its own
        write-off with words.
        """
        try:
            found, signers = self.operator.log.opened(envelope)
        except CeremonyError:
            return False
        return (
            signers == (entry.operator,)
            and slot_of(found) in missing
            and self.operator.log.read(lambda state: _would_count(state, entry.operator, found))
        )

    def _refusal(self, envelope: bytes) -> str:
        """Post what the operator answered; return why the host does not take it.

        It was reached and gave what it owed: a host that refuses it is no reason to write it off.
        """
        try:
            self.operator.log.post_signed(envelope)
        except CeremonyError as refusal:
            return str(refusal)
        return ""


def _would_count(state: CeremonyState, operator: int, entry: Entry) -> bool:
    """Tell whether a message of this operator would be valid at the end of the log."""
    posted = sum(log.signers == (operator,) for log in state.log)
    if posted >= state.plan.limits.entries_per_operator:
        return False
    if isinstance(entry, Acknowledgement):
        return entry.complaint_close == state.setup.complaint_close
    if not isinstance(entry, Answer):
        return False
    opening = state.opening((entry.batch.stage, entry.batch.batch))
    return (
        opening is not None
        and opening.context == entry.context
        and 0 <= entry.round < len(opening.rounds)
        and opening.rounds[entry.round].log_root == entry.log_root
        and len(entry.values) == opening.rule.answer_bytes
    )


def _due(state: CeremonyState, entry: Entry) -> object:
    return due_statement(state, entry.kind, _subject(entry))


def _subject(entry: Entry) -> str:
    """Return what a statement is about, as `due_statement` takes it."""
    if isinstance(entry, Close):
        return entry.slot
    if isinstance(entry, (Summons, WriteOff)):
        return str(entry.operator)
    if isinstance(entry, KeySet):
        return entry.digest.hex()
    if isinstance(entry, Rejoin):
        return f"{entry.operator}/{entry.key.hex()}"
    if isinstance(entry, DecryptionRequest):
        return f"{entry.ciphertext.hex()}/{entry.size}/{entry.openings}"
    return ""
