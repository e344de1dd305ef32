"""The ceremony as a function of the log: every operator that reads the same prefix decides alike.

The rules of the fold (PROTOCOL.md, "Model", "Stages and sealing"):

- the first valid entry of a slot counts; an entry invalid at its position is void, never an error;
- messages have one author, statements n-t signers;
- who owes an entry at a close entry is absent until it posts a return;
- batches of N, S and M live between the setup seal and the seal, those of O after the seal;
- the seal is valid only if every batch of N, S and M is complete, all posted answers fit, and it
  names the prefix it directly follows;
- where the plan asks for it, a KEM key counts only under a document of its author's enclave
  (`attestations`);
- people decide together on a pause, its end, an extension or an abort (`decisions`);
- answers that contradict one another make blame due; a valid blame, or a correction, kills the
  batch and something else takes its place; t+1 confirmations exclude an operator.

Verdicts on answers need the opened value v. While this party does not hold some v, the batch counts
as open; once it does, the state is what it would have been had v been known from the start. The
same happens when n-t operators say in the log that answers do not fit v. No caller has to do
anything for that: every look at the state settles it first.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mpc_core.protocol import entries
from mpc_core.protocol.attestations import Attestations
from mpc_core.protocol.batch import BatchRule, BatchState, BatchStatus
from mpc_core.protocol.batches import Batches
from mpc_core.protocol.context import OFFLINE, BatchName
from mpc_core.protocol.decisions import Decisions
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.justice import Justice
from mpc_core.protocol.key_setup import KeySetup
from mpc_core.protocol.members import Members
from mpc_core.protocol.owed import owed_by
from mpc_core.protocol.quorum import Quorum
from mpc_core.protocol.release import Release
from mpc_core.protocol.remembering import Remembering
from mpc_core.protocol.rules import Void, VoidEntryError, require
from mpc_core.protocol.slots import Refutation, refutation_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mpc_core.protocol.attestations import Examine
    from mpc_core.protocol.batch import Arithmetic, BatchKey
    from mpc_core.protocol.context import BatchContext
    from mpc_core.protocol.entries import LogEntry
    from mpc_core.protocol.opening import Opening
    from mpc_core.protocol.owed import Owed
    from mpc_core.protocol.plan import Deadlines, Plan
    from mpc_core.protocol.quorum import Health

__all__ = ["CeremonyState"]

ONLINE = ("O",)
"""The stage whose batches live after the seal."""
DECRYPTION_WORD_BITS = 64
"""Ring of the phases of a decryption request."""
MOST_DIGITS = 9
"""Of a number in a slot; Python refuses to convert very long ones."""


HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
MOST_HOST_CHARACTERS = 253
MOST_PORTS = 1 << 16


class CeremonyState:
    """The fold of a log prefix. Feed it with `apply`; everything else only looks.

    Args:
        plan: the signed plan.
        batches: every batch of the layout by (stage, index).
        arithmetic: the ring, and the opened values this party holds.
        acceptance_floods: test openings that the acceptance itself uses up; decryption requests
            take the floods after them.
        examine: judges attestation documents, if the plan asks for them.
    """

    def __init__(
        self,
        plan: Plan,
        batches: Mapping[BatchKey, BatchRule],
        arithmetic: Arithmetic,
        *,
        acceptance_floods: int = 0,
        examine: Examine | None = None,
    ) -> None:
        self.plan = plan
        self._layout = dict(batches)
        self.quorum = Quorum.of(plan)
        self._arithmetic = Remembering(arithmetic)
        self._acceptance_floods = acceptance_floods
        self._examine = examine
        self._log: list[LogEntry] = []
        self._refuted: dict[bytes, set[Refutation]] = defaultdict(set)
        self._clear()

    def _clear(self) -> None:
        self._members = Members(self.quorum)
        self._setup = KeySetup(self.quorum)
        self._release = Release(self.plan, self._acceptance_floods)
        self._batches = Batches(
            self.plan.hash,
            self._layout,
            self._members,
            self.quorum,
            arithmetic=self._arithmetic,
            refuted=self._refuted,
        )
        self._addresses: dict[int, entries.Address] = {}
        self._voids: list[Void] = []
        self._justice = Justice(self.quorum)
        self._decisions = Decisions(self.plan)
        self._attestations = Attestations(self.plan, self._examine)
        self._closes: dict[str, tuple[int, ...]] = {}
        self._guessed = False
        self._rules = self._table_of_rules()

    # -- the fold ---------------------------------------------------------------------------------

    def apply(self, log: LogEntry) -> Void | None:
        """Fold the next entry of the log; return why it is void, None if it counts.

        A verdict of "void" may still change while this party does not hold some v.

        Raises:
            CeremonyError: RF-LOG-090, the entry is not the next one.
        """
        if log.position != len(self._log):
            raise CeremonyError(
                "RF-LOG-090",
                "the log was read out of order",
                expected=f"entry {len(self._log)}",
                found=f"entry {log.position}",
                effect="nothing was taken from it",
                next_step="read the log again from its beginning",
            )
        self._settle()
        if self._hears_news(log):
            self._fold_again()
        self._log.append(log)
        return self._fold(log)

    def _hears_news(self, log: LogEntry) -> bool:
        """Note which value n-t operators refute; tell whether this party may have judged otherwise.

        Their word is about a value, not about a moment: it holds whatever this party makes of the
        entry that bears it, and for all of the log before.

        Security: one of n-t operators at least is honest, and judged by v.
        """
        said = refutation_in(log.entry)
        signers = (set(log.signers) & set(self.quorum.everyone)) - self._members.excluded
        if said is None or not self.quorum.signed_by(signers):
            return False
        if said in self._refuted[said.context]:
            return False
        self._refuted[said.context].add(said)
        return self._batches.goes_by_word(said)

    def _fold(self, log: LogEntry) -> Void | None:
        void: Void | None = None
        try:
            self._check_signers(log)
            self._rules[type(log.entry)](log, log.entry)
        except VoidEntryError as reason:
            void = Void(log.position, log.entry.kind, log.signers, str(reason))
            self._voids.append(void)
        judged_blindly = void is not None or isinstance(
            log.entry, (*entries.STATEMENTS, entries.Return)
        )
        if self._batches.unknown and (judged_blindly or self._members.written_off):
            self._guessed = True
        return void

    def _settle(self) -> None:
        """Take account of every v that this party has come to hold.

        A batch with one round is judged on the spot. If anything else was decided meanwhile that
        might have gone the other way, the log is folded again.
        """
        learned = self._batches.learned
        if (self._guessed and learned) or self._batches.ambiguous(learned):
            self._fold_again()
        else:
            for opening in learned:
                self._batches.touch(opening.rule.key)

    def _fold_again(self) -> None:
        self._clear()
        for log in self._log:
            self._fold(log)

    def _check_signers(self, log: LogEntry) -> None:
        require(self._decisions.abort is None, "the ceremony was aborted")
        signers = set(log.signers)
        require(signers <= set(self.quorum.everyone), "a signer is not in the plan")
        if isinstance(log.entry, entries.STATEMENTS):
            valid = signers - self._members.excluded
            require(self.quorum.signed_by(valid), "fewer than n-t operators signed the statement")
        else:
            require(len(log.signers) == 1, "a message has one author")
            require(signers.isdisjoint(self._members.excluded), "the author is excluded")

    def _table_of_rules(self) -> Mapping[type, Callable[[LogEntry, Any], None]]:
        setup, members, release = self._setup, self._members, self._release
        return {
            entries.Acknowledgement: self._acknowledgement,
            entries.Address: self._address,
            entries.Announcement: release.announce,
            entries.Answer: self._answer,
            entries.Attestation: self._attestations.post,
            entries.Blame: self._blame,
            entries.Close: self._close,
            entries.Complaint: lambda log, entry: setup.post_complaint(log.author, entry),
            entries.Confirmation: self._confirm,
            entries.Contribution: lambda log, entry: setup.post_contribution(log.author, entry),
            entries.Correction: self._correct,
            entries.Decision: self._decide,
            entries.Decoded: self._decoded,
            entries.DecryptionRequest: self._request,
            entries.Evidence: self._evidence,
            entries.Examined: lambda log, entry: setup.post_examined(log.author, entry),
            entries.Have: self._have,
            entries.KemKey: self._kem_key,
            entries.KeySet: release.take_key_set,
            entries.Refused: self._attestations.refuse,
            entries.Rejoin: lambda log, entry: members.rejoin(log.signers, entry),
            entries.Return: self._return,
            entries.Reveal: self._reveal,
            entries.Root: self._root,
            entries.Seal: self._seal,
            entries.Served: lambda log, entry: self._service(log, entry, serves=True),
            entries.SetupSeal: self._seal_setup,
            entries.Summons: lambda log, entry: members.summon(
                log.position, entry, self._due(entry.operator)
            ),
            entries.Unserved: lambda log, entry: self._service(log, entry, serves=False),
            entries.WriteOff: self._write_off,
        }

    # -- rules that touch more than one part ------------------------------------------------------

    def _address(self, log: LogEntry, entry: entries.Address) -> None:
        require(_is_address(entry.host, entry.port), "nobody can be called there")
        known = self._addresses.get(log.author)
        require(known is None or entry.serial > known.serial, "a later address is known")
        self._addresses[log.author] = entry

    def _kem_key(self, log: LogEntry, entry: entries.KemKey) -> None:
        self._attestations.check_kem_key(log.author, entry)
        self._setup.post_kem_key(log.author, entry)

    def _return(self, log: LogEntry, entry: entries.Return) -> None:
        self._members.come_back(log.author, entry, log.position)
        self._batches.touch_all()

    def _decide(self, log: LogEntry, entry: entries.Decision) -> None:
        require(self._release.announcement is None, "the key set is announced")
        self._decisions.hear(log, entry, self._members.excluded)

    def _write_off(self, log: LogEntry, entry: entries.WriteOff) -> None:
        signers = set(log.signers) - self._members.excluded
        needed = self.plan.decision_rules.write_off
        require(len(signers) >= needed, "fewer operators signed it than the plan demands")
        self._members.write_off(entry, self._due(entry.operator))
        self._batches.touch_all()

    def _acknowledgement(self, log: LogEntry, entry: entries.Acknowledgement) -> None:
        self._setup.post_acknowledgement(log.author, entry)
        self._reinstate(log.author)

    def _seal_setup(self, log: LogEntry, entry: entries.SetupSeal) -> None:
        self._setup.seal(log.position, entry, self._members)
        self._batches.begin(OFFLINE)

    def _root(self, log: LogEntry, entry: entries.Root) -> None:
        opening = self._batches.named(entry.batch, entry.context)
        opening.post_root(log.author, entry.root)
        self._batches.touch(opening.rule.key)

    def _decoded(self, log: LogEntry, entry: entries.Decoded) -> None:
        opening = self._batches.named(entry.batch, entry.context)
        opening.post_decoded(log.author, entry, log.position, log.prefix_root)
        self._batches.touch(opening.rule.key)

    def _have(self, log: LogEntry, entry: entries.Have) -> None:
        opening = self._batches.named(entry.batch, entry.context)
        opening.post_have(log.author, entry)
        self._batches.touch(opening.rule.key)

    def _answer(self, log: LogEntry, entry: entries.Answer) -> None:
        opening = self._batches.named(entry.batch, entry.context)
        opening.post_answer(log.author, entry)
        self._batches.touch(opening.rule.key)
        self._reinstate(log.author)

    def _service(
        self, log: LogEntry, entry: entries.Served | entries.Unserved, *, serves: bool
    ) -> None:
        opening = self._batches.named(entry.batch, entry.context)
        opening.post_service(log.author, entry.operator, entry.serial, serves=serves)

    # -- rules about who lied ---------------------------------------------------------------------

    def _blame(self, log: LogEntry, entry: entries.Blame) -> None:
        require(self._release.sealed is None, "it is sealed")
        require(
            all(0 <= position < log.position for position in entry.answers),
            "it names entries that do not precede it",
        )
        require(self._justice.unsettled is None, "an earlier blame is unsettled")
        opening = self._batches.named(entry.batch, entry.context)
        named = [self._log[position] for position in entry.answers]
        opening.check_contradiction(entry.round, named, self._members)
        require(entry.round in opening.recomputed, "the time to recompute is not over")
        consumed = self._batches.consumed(opening)
        self._justice.burn(log, opening, entry.round, consumed, self._members)
        self._batches.kill(opening)

    def _correct(self, log: LogEntry, entry: entries.Correction) -> None:
        require(self._release.sealed is None, "it is sealed")
        opening = self._batches.named(entry.batch, entry.context)
        allowed = self.plan.limits.corrections_per_operator
        self._justice.correct(log.author, opening, allowed)
        self._batches.kill(opening)

    def _reveal(self, log: LogEntry, entry: entries.Reveal) -> None:
        require(self._release.sealed is None, "it is sealed")
        self._justice.reveal(log.author, entry)

    def _evidence(self, log: LogEntry, entry: entries.Evidence) -> None:
        require(entry.accused in self.quorum.everyone, "the accused is not in the plan")
        self._justice.accuse(log, entry, self._batches.known(entry.batch, entry.context))

    def _confirm(self, log: LogEntry, entry: entries.Confirmation) -> None:
        opening = self._batches.known(entry.batch, entry.context)
        if self._justice.confirm(log, entry, opening):
            self._members.excluded.add(entry.accused)
            self._batches.touch_all()

    # -- deadlines --------------------------------------------------------------------------------

    def _close(self, log: LogEntry, entry: entries.Close) -> None:
        before = self._closes.get(entry.slot, ())
        require(entry.serial == len(before), "another close of this slot is the next one")
        self._close_slot(log, entry.slot)
        self._closes[entry.slot] = (*before, log.position)

    def _close_slot(self, log: LogEntry, slot: str) -> None:
        step, *rest = slot.split("/")
        if slot == "complaints":
            self._setup.close_complaints(log.position)
            return
        if step == "contributions" and len(rest) == 1:
            owing = self._setup.close_contributions(_number(rest[0]), self._members)
        elif slot == "kem-keys":
            owing = self._setup.close_kem_keys(self._members)
        else:
            owing = self._close_in_batch(log, step, rest)
        self._members.miss(owing, log.position)
        self._batches.touch_all()

    def _close_in_batch(self, log: LogEntry, step: str, rest: list[str]) -> frozenset[int]:
        require(bool(rest), "there is no such slot")
        opening = self._batches.named_by_hex(rest[0])
        match (step, rest[1:]):
            case ("roots", []):
                return opening.close_roots(self._members)
            case ("round", [number]):
                return opening.close_round(_number(number), self._members, log.position)
            case ("refuted", [_, _]):
                said = refutation_in(log.entry)
                require(said is not None, "there is no such slot")
                assert said is not None
                return opening.close_refuted(said, self._members, log.position)
            case ("answers", [number]):
                return opening.close_answers(_number(number), self._members)
            case ("recomputation", [number]):
                return opening.close_recomputation(_number(number))
        raise VoidEntryError("there is no such slot")

    def _seal(self, log: LogEntry, entry: entries.Seal) -> None:
        require(self._release.sealed is None, "it is sealed")
        require(self._setup.sealed_at is not None, "the setup is not sealed")
        require(self._justice.unsettled is None, "blame is unsettled")
        require(self._members.losses <= self.quorum.threshold, "too many operators are lost")
        require(self._batches.complete(OFFLINE), "a batch is not complete")
        before = self._log[log.position - 1].prefix_root
        require(
            entry.size == log.position and entry.log_root == before,
            "it names another prefix than the one it follows",
        )
        self._release.sealed = log
        self._members.sealed = True
        self._batches.begin(ONLINE)

    # -- what is owed -----------------------------------------------------------------------------

    def _due(self, operator: int) -> frozenset[str]:
        return frozenset(owed.slot for owed in self._owed(operator) if owed.summonable)

    def _reinstate(self, operator: int) -> None:
        """End a write-off once everything then due is posted."""
        if operator in self._members.written_off and not self._due(operator):
            self._members.written_off.discard(operator)
            self._batches.touch_all()

    def _owed(self, operator: int) -> tuple[Owed, ...]:
        if operator in self._members.excluded:
            return ()
        return owed_by(operator, self._setup, self._batches.live)

    def _request(self, _: LogEntry, entry: entries.DecryptionRequest) -> None:
        self._release.request(entry)
        online = [key for key in self._layout if key[0] in ONLINE]
        last = self._layout[online[-1]]
        self._batches.add(
            BatchRule(
                last.stage,
                len(online) + entry.serial,
                "single",
                DECRYPTION_WORD_BITS,
                last.ring_degree,
                (last.key,),
            )
        )

    # -- what others see --------------------------------------------------------------------------

    @property
    def batches(self) -> Mapping[BatchKey, BatchRule]:
        """Every batch of the layout and of decryption requests; look only."""
        return self._batches.rules

    @property
    def size(self) -> int:
        """Number of log entries folded."""
        return len(self._log)

    @property
    def log(self) -> tuple[LogEntry, ...]:
        """The entries folded so far."""
        return tuple(self._log)

    @property
    def setup(self) -> KeySetup:
        """The key setup; look only."""
        return self._setup

    @property
    def members(self) -> Members:
        """Who takes part; look only."""
        self._settle()
        return self._members

    @property
    def release(self) -> Release:
        """Key set, announcement, requests; look only."""
        self._settle()
        return self._release

    @property
    def sealed(self) -> LogEntry | None:
        """The seal of N, S and M, None before."""
        self._settle()
        return self._release.sealed

    @property
    def voids(self) -> tuple[Void, ...]:
        """The entries that do not count, in log order."""
        self._settle()
        return tuple(self._voids)

    def closes(self, slot: str) -> tuple[int, ...]:
        """Return the log positions of the valid closes of a slot."""
        self._settle()
        return self._closes.get(slot, ())

    @property
    def addresses(self) -> Mapping[int, entries.Address]:
        """The latest address of every operator that posted one."""
        return dict(self._addresses)

    @property
    def attestations(self) -> Attestations:
        """Documents of enclaves, and who refuses whom; look only."""
        return self._attestations

    @property
    def health(self) -> Health:
        """The word for how many operators take part."""
        return self.members.health

    @property
    def awaiting_v(self) -> tuple[BatchKey, ...]:
        """Batches of which some verdict waits until this party holds v."""
        return tuple(sorted({opening.rule.key for opening in self.awaiting}))

    @property
    def awaiting(self) -> tuple[Opening, ...]:
        """The openings, live or dead, of which some verdict waits until this party holds v."""
        self._settle()
        return tuple(self._batches.unknown.values())

    @property
    def decisions(self) -> Decisions:
        """What people decided; look only."""
        self._settle()
        return self._decisions

    @property
    def deadlines(self) -> Deadlines:
        """The plan's deadlines, with the extensions that were decided."""
        planned = self.plan.deadlines
        longer = planned.waiting_seconds + self.decisions.extension_seconds
        return replace(planned, waiting_seconds=longer)

    @property
    def justice(self) -> Justice:
        """Accusations, burns and corrections; look only."""
        self._settle()
        return self._justice

    @property
    def contradictions(self) -> tuple[Opening, ...]:
        """The batches whose answers contradict one another, in the order of the layout."""
        self._settle()
        return tuple(each for each in self._batches.live if each.state is BatchState.MISFIT)

    @property
    def ever_opened(self) -> tuple[Opening, ...]:
        """Every opening that ever took entries, also under contexts that are dead; look only."""
        self._settle()
        return tuple(self._batches.ever)

    def status(self, key: BatchKey) -> BatchStatus:
        """Return where a batch stands."""
        self._settle()
        opening = self._batches.current.get(key)
        if opening is None:
            return BatchStatus(BatchName(*key), BatchState.WAITING)
        return opening.status(self._members)

    def opening(self, key: BatchKey) -> Opening | None:
        """Return roots, rounds and answers of a batch's current context; look only."""
        self._settle()
        return self._batches.current.get(key)

    @property
    def openings(self) -> tuple[Opening, ...]:
        """The openings that take entries now, in the order of the layout; look only."""
        self._settle()
        return tuple(self._batches.live)

    def context(self, key: BatchKey) -> BatchContext | None:
        """Return the current context of a batch, None before it is known."""
        self._settle()
        return self._batches.context(key)

    def owed(self, operator: int) -> tuple[Owed, ...]:
        """Return what this operator owes right now, whether it is absent or not."""
        self._settle()
        return self._owed(operator)

    def summonable(self, operator: int) -> frozenset[str]:
        """Return the slots for which this operator may be summoned right now."""
        self._settle()
        return self._due(operator)

    def waiting_for(self) -> Mapping[int, tuple[Owed, ...]]:
        """Return what the operators that are waited for owe."""
        owed = {operator: self.owed(operator) for operator in sorted(self.members.awaited)}
        return {operator: slots for operator, slots in owed.items() if slots}

    def progress(self, stage: str) -> Mapping[BatchState, int]:
        """Return how many batches of a stage stand where."""
        counts = Counter(self.status(key).state for key in self.batches if key[0] == stage)
        return {state: counts[state] for state in BatchState}


def _is_address(host: str, port: int) -> bool:
    """Tell whether this is an IP address or a name of the DNS, and a port."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if len(host) > MOST_HOST_CHARACTERS or not HOST_NAME.fullmatch(host):
            return False
    return 0 < port < MOST_PORTS


def _number(text: str) -> int:
    canonical = text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS
    require(canonical and text == str(int(text)), "there is no such slot")
    return int(text)
