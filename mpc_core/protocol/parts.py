"""The parts of the state, and what every entry of the log does to them.

An entry that is invalid where it stands is void: its rule says so before it changes anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mpc_core.protocol import entries
from mpc_core.protocol.addresses import check_address
from mpc_core.protocol.attestations import Attestations
from mpc_core.protocol.batch import BatchRule
from mpc_core.protocol.batches import Batches
from mpc_core.protocol.closes import Closes
from mpc_core.protocol.context import OFFLINE
from mpc_core.protocol.decisions import Decisions
from mpc_core.protocol.justice import Justice
from mpc_core.protocol.key_setup import KeySetup
from mpc_core.protocol.members import Members
from mpc_core.protocol.owed import owed_by
from mpc_core.protocol.release import Release
from mpc_core.protocol.rules import require
from mpc_core.protocol.tries import Tries

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from mpc_core.protocol.attestations import Examine
    from mpc_core.protocol.batch import Arithmetic, BatchKey
    from mpc_core.protocol.entries import LogEntry
    from mpc_core.protocol.owed import Owed
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.quorum import Quorum
    from mpc_core.protocol.slots import Refutation

__all__ = ["Parts"]

ONLINE = ("O",)
"""The stage whose batches live after the seal."""
DECRYPTION_WORD_BITS = 64
"""Ring of the phases of a decryption request."""


class Parts:
    """What the entries of a log so far have made of everything.

    Attributes:
        members: who takes part.
        setup: the key setup.
        release: seal, key set, announcement, requests.
        batches: all batches and their contexts.
        addresses: the latest address of every operator that posted one.
        justice: accusations, burns and corrections.
        decisions: what people decided.
        attestations: documents of enclaves, and who refuses whom.
        closes: the deadlines that are over.
    """

    def __init__(
        self,
        plan: Plan,
        layout: Mapping[BatchKey, BatchRule],
        log: Sequence[LogEntry],
        quorum: Quorum,
        *,
        arithmetic: Arithmetic,
        refuted: Mapping[bytes, Collection[Refutation]],
        acceptance_floods: int,
        examine: Examine | None,
    ) -> None:
        """Begin with the empty log; `log` is where its entries are found once they are folded."""
        self.plan, self.quorum = plan, quorum
        self._layout, self._log = layout, log
        self.members = Members(quorum)
        self.setup = KeySetup(quorum)
        self.release = Release(plan, acceptance_floods)
        self.batches = Batches(
            plan.hash, layout, self.members, quorum, arithmetic=arithmetic, refuted=refuted
        )
        self.addresses: dict[int, entries.Address] = {}
        self.justice = Justice(quorum)
        self.decisions = Decisions(plan)
        self.attestations = Attestations(plan, examine)
        self.tries = Tries()
        self.closes = Closes(self.setup, self.batches, self.members, self.tries)
        self._rules = self._table_of_rules()

    def take(self, log: LogEntry) -> None:
        """Let an entry have its effect.

        Raises:
            VoidEntryError: if it is invalid where it stands; then nothing changed but the number
                of its next try.
        """
        self._check_signers(log)
        self._rules[type(log.entry)](log, log.entry)

    def _check_signers(self, log: LogEntry) -> None:
        require(self.decisions.abort is None, "the ceremony was aborted")
        signers = set(log.signers)
        require(signers <= set(self.quorum.everyone), "a signer is not in the plan")
        if isinstance(log.entry, entries.STATEMENTS):
            valid = signers - self.members.excluded
            require(self.quorum.signed_by(valid), "fewer than n-t operators signed the statement")
        else:
            require(len(log.signers) == 1, "a message has one author")
            require(signers.isdisjoint(self.members.excluded), "the author is excluded")

    def _table_of_rules(self) -> Mapping[type, Callable[[LogEntry, Any], None]]:
        setup, members, release = self.setup, self.members, self.release
        return {
            entries.Acknowledgement: self._acknowledgement,
            entries.Address: self._address,
            entries.Announcement: release.announce,
            entries.Answer: self._answer,
            entries.Attestation: self.attestations.post,
            entries.Blame: self._blame,
            entries.Close: self.closes.take,
            entries.Complaint: lambda log, entry: setup.post_complaint(log.author, entry),
            entries.Confirmation: self._confirm,
            entries.Contribution: lambda log, entry: setup.post_contribution(log.author, entry),
            entries.Correction: self._correct,
            entries.Decision: self._decide,
            entries.Decoded: self._decoded,
            entries.DecryptionRequest: self._request,
            entries.Destruction: self.attestations.destroy,
            entries.Evidence: self._evidence,
            entries.Examined: lambda log, entry: setup.post_examined(log.author, entry),
            entries.Have: self._have,
            entries.KemKey: self._kem_key,
            entries.KeySet: release.take_key_set,
            entries.Refused: self.attestations.refuse,
            entries.Rejoin: lambda log, entry: members.rejoin(log.signers, entry),
            entries.Return: self._return,
            entries.Reveal: self._reveal,
            entries.Root: self._root,
            entries.Seal: self._seal,
            entries.Served: lambda log, entry: self._service(log, entry, serves=True),
            entries.SetupSeal: self._seal_setup,
            entries.Summons: self._summon,
            entries.Unserved: lambda log, entry: self._service(log, entry, serves=False),
            entries.WriteOff: self._write_off,
        }

    # -- rules that touch more than one part ------------------------------------------------------

    def _address(self, log: LogEntry, entry: entries.Address) -> None:
        check_address(entry)
        known = self.addresses.get(log.author)
        require(known is None or entry.serial > known.serial, "a later address is known")
        self.addresses[log.author] = entry

    def _kem_key(self, log: LogEntry, entry: entries.KemKey) -> None:
        self.attestations.check_kem_key(log.author, entry)
        self.setup.post_kem_key(log.author, entry)

    def _return(self, log: LogEntry, entry: entries.Return) -> None:
        self.members.come_back(log.author, entry, log.position)
        self.batches.touch_all()

    def _decide(self, log: LogEntry, entry: entries.Decision) -> None:
        require(self.release.announcement is None, "the key set is announced")
        self.decisions.hear(log, entry, self.members.excluded)

    def _summon(self, log: LogEntry, entry: entries.Summons) -> None:
        self.tries.take(entry, entry.operator)
        self.members.summon(log.position, entry, self.due(entry.operator))

    def _write_off(self, log: LogEntry, entry: entries.WriteOff) -> None:
        signers = set(log.signers) - self.members.excluded
        needed = self.plan.decision_rules.write_off
        require(len(signers) >= needed, "fewer operators signed it than the plan demands")
        self.tries.take(entry, entry.operator)
        self.members.write_off(entry, self.due(entry.operator))
        self.batches.touch_all()

    def _acknowledgement(self, log: LogEntry, entry: entries.Acknowledgement) -> None:
        self.setup.post_acknowledgement(log.author, entry)
        self._reinstate(log.author)

    def _seal_setup(self, log: LogEntry, entry: entries.SetupSeal) -> None:
        self.setup.seal(log.position, entry, self.members)
        self.batches.begin(OFFLINE)

    def _root(self, log: LogEntry, entry: entries.Root) -> None:
        opening = self.batches.named(entry.batch, entry.context)
        opening.post_root(log.author, entry.root)
        self.batches.touch(opening.rule.key)

    def _decoded(self, log: LogEntry, entry: entries.Decoded) -> None:
        opening = self.batches.named(entry.batch, entry.context)
        opening.post_decoded(log.author, entry, log.position, log.prefix_root)
        self.batches.touch(opening.rule.key)

    def _have(self, log: LogEntry, entry: entries.Have) -> None:
        opening = self.batches.named(entry.batch, entry.context)
        opening.post_have(log.author, entry)
        self.batches.touch(opening.rule.key)

    def _answer(self, log: LogEntry, entry: entries.Answer) -> None:
        opening = self.batches.named(entry.batch, entry.context)
        opening.post_answer(log.author, entry)
        self.batches.touch(opening.rule.key)
        self._reinstate(log.author)

    def _service(
        self, log: LogEntry, entry: entries.Served | entries.Unserved, *, serves: bool
    ) -> None:
        opening = self.batches.named(entry.batch, entry.context)
        opening.post_service(log.author, entry.operator, entry.serial, serves=serves)

    # -- rules about who lied ---------------------------------------------------------------------

    def _blame(self, log: LogEntry, entry: entries.Blame) -> None:
        self.tries.take(entry, log.author)
        require(self.release.sealed is None, "it is sealed")
        require(
            all(0 <= position < log.position for position in entry.answers),
            "it names entries that do not precede it",
        )
        require(self.justice.unsettled is None, "an earlier blame is unsettled")
        opening = self.batches.current_one(entry.batch, entry.context)
        named = [self._log[position] for position in entry.answers]
        opening.check_contradiction(entry.round, named, self.members)
        require(entry.round in opening.recomputed, "the time to recompute is not over")
        consumed = self.batches.consumed(opening)
        self.justice.burn(log, opening, entry.round, consumed, self.members)
        self.batches.kill(opening)

    def _correct(self, log: LogEntry, entry: entries.Correction) -> None:
        require(self.release.sealed is None, "it is sealed")
        opening = self.batches.named(entry.batch, entry.context)
        allowed = self.plan.limits.corrections_per_operator
        self.justice.correct(log.author, opening, allowed)
        self.batches.kill(opening)

    def _reveal(self, log: LogEntry, entry: entries.Reveal) -> None:
        require(self.release.sealed is None, "it is sealed")
        self.justice.reveal(log.author, entry)

    def _evidence(self, log: LogEntry, entry: entries.Evidence) -> None:
        require(entry.accused in self.quorum.everyone, "the accused is not in the plan")
        self.justice.accuse(log, entry, self.batches.known(entry.batch, entry.context))

    def _confirm(self, log: LogEntry, entry: entries.Confirmation) -> None:
        opening = self.batches.known(entry.batch, entry.context)
        if self.justice.confirm(log, entry, opening):
            self.members.excluded.add(entry.accused)
            self.batches.touch_all()

    # -- the seal, and lists that are decrypted after it ------------------------------------------

    def _seal(self, log: LogEntry, entry: entries.Seal) -> None:
        require(self.release.sealed is None, "it is sealed")
        require(self.setup.sealed_at is not None, "the setup is not sealed")
        require(self.justice.unsettled is None, "blame is unsettled")
        require(self.members.losses <= self.quorum.threshold, "too many operators are lost")
        require(self.batches.complete(OFFLINE), "a batch is not complete")
        before = self._log[log.position - 1].prefix_root
        require(
            entry.size == log.position and entry.log_root == before,
            "it names another prefix than the one it follows",
        )
        self.release.sealed = log
        self.members.sealed = True
        self.batches.begin(ONLINE)

    def _request(self, _: LogEntry, entry: entries.DecryptionRequest) -> None:
        self.release.request(entry)
        online = [key for key in self._layout if key[0] in ONLINE]
        last = self._layout[online[-1]]
        self.batches.add(
            BatchRule(
                last.stage,
                len(online) + entry.serial,
                "single",
                DECRYPTION_WORD_BITS,
                last.ring_degree,
                (last.key,),
            )
        )

    # -- what is owed -----------------------------------------------------------------------------

    def owed(self, operator: int) -> tuple[Owed, ...]:
        """Return what an operator owes, whether it is absent or not."""
        if operator in self.members.excluded:
            return ()
        return owed_by(operator, self.setup, self.batches.live)

    def due(self, operator: int) -> frozenset[str]:
        """Return the slots for which an operator may be summoned."""
        return frozenset(owed.slot for owed in self.owed(operator) if owed.summonable)

    def _reinstate(self, operator: int) -> None:
        """End a write-off once everything then due is posted."""
        if operator in self.members.written_off and not self.due(operator):
            self.members.written_off.discard(operator)
            self.batches.touch_all()
