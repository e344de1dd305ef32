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

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from mpc_core.protocol import entries
from mpc_core.protocol.batch import BatchState, BatchStatus
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.parts import Parts
from mpc_core.protocol.quorum import Quorum
from mpc_core.protocol.remembering import Remembering
from mpc_core.protocol.rules import Void, VoidEntryError
from mpc_core.protocol.slots import Refutation, refutation_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpc_core.protocol.attestations import Attestations, Examine
    from mpc_core.protocol.batch import Arithmetic, BatchKey, BatchRule
    from mpc_core.protocol.context import BatchContext
    from mpc_core.protocol.decisions import Decisions
    from mpc_core.protocol.entries import LogEntry
    from mpc_core.protocol.justice import Justice
    from mpc_core.protocol.key_setup import KeySetup
    from mpc_core.protocol.members import Members
    from mpc_core.protocol.opening import Opening
    from mpc_core.protocol.owed import Owed
    from mpc_core.protocol.plan import Deadlines, Plan
    from mpc_core.protocol.quorum import Health
    from mpc_core.protocol.release import Release

__all__ = ["CeremonyState"]


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
        self._begin()

    def _begin(self) -> None:
        """Forget what the log made of everything; its entries stay."""
        self._voids: list[Void] = []
        self._guessed = False
        self._parts = Parts(
            self.plan,
            self._layout,
            self._log,
            self.quorum,
            arithmetic=self._arithmetic,
            refuted=self._refuted,
            acceptance_floods=self._acceptance_floods,
            examine=self._examine,
        )

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
        signers = (set(log.signers) & set(self.quorum.everyone)) - self._parts.members.excluded
        if said is None or not self.quorum.signed_by(signers):
            return False
        if said in self._refuted[said.context]:
            return False
        self._refuted[said.context].add(said)
        return self._parts.batches.goes_by_word(said)

    def _fold(self, log: LogEntry) -> Void | None:
        void: Void | None = None
        try:
            self._parts.take(log)
        except VoidEntryError as reason:
            void = Void(log.position, log.entry.kind, log.signers, str(reason))
            self._voids.append(void)
        judged_blindly = void is not None or isinstance(
            log.entry, (*entries.STATEMENTS, entries.Return)
        )
        if self._parts.batches.unknown and (judged_blindly or self._parts.members.written_off):
            self._guessed = True
        return void

    def _settle(self) -> None:
        """Take account of every v that this party has come to hold.

        A batch with one round is judged on the spot. If anything else was decided meanwhile that
        might have gone the other way, the log is folded again.
        """
        if not self._parts.batches.unknown:
            return  # as nearly always, and this is asked at every look
        learned = self._parts.batches.learned
        if (self._guessed and learned) or self._parts.batches.ambiguous(learned):
            self._fold_again()
        else:
            for opening in learned:
                self._parts.batches.touch(opening.rule.key)

    def _fold_again(self) -> None:
        self._begin()
        for log in self._log:
            self._fold(log)

    # -- what others see --------------------------------------------------------------------------

    @property
    def batches(self) -> Mapping[BatchKey, BatchRule]:
        """Every batch of the layout and of decryption requests; look only."""
        return self._parts.batches.rules

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
        return self._parts.setup

    @property
    def members(self) -> Members:
        """Who takes part; look only."""
        self._settle()
        return self._parts.members

    @property
    def release(self) -> Release:
        """Key set, announcement, requests; look only."""
        self._settle()
        return self._parts.release

    @property
    def sealed(self) -> LogEntry | None:
        """The seal of N, S and M, None before."""
        self._settle()
        return self._parts.release.sealed

    @property
    def voids(self) -> tuple[Void, ...]:
        """The entries that do not count, in log order."""
        self._settle()
        return tuple(self._voids)

    def closes(self, slot: str) -> tuple[int, ...]:
        """Return the log positions of the valid closes of a slot."""
        self._settle()
        return self._parts.closes.positions.get(slot, ())

    def next_try(self, kind: str, about: str | int) -> int:
        """Return the serial of the next entry of a kind: what was void may be due again."""
        self._settle()
        return self._parts.tries.next(kind, about)

    @property
    def addresses(self) -> Mapping[int, entries.Address]:
        """The latest address of every operator that posted one."""
        return dict(self._parts.addresses)

    @property
    def attestations(self) -> Attestations:
        """Documents of enclaves, and who refuses whom; look only."""
        return self._parts.attestations

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
        return tuple(self._parts.batches.unknown.values())

    @property
    def decisions(self) -> Decisions:
        """What people decided; look only."""
        self._settle()
        return self._parts.decisions

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
        return self._parts.justice

    @property
    def contradictions(self) -> tuple[Opening, ...]:
        """The batches whose answers contradict one another, in the order of the layout."""
        self._settle()
        return tuple(each for each in self._parts.batches.live if each.state is BatchState.MISFIT)

    @property
    def ever_opened(self) -> tuple[Opening, ...]:
        """Every opening that ever took entries, also under contexts that are dead; look only."""
        self._settle()
        return tuple(self._parts.batches.ever)

    @property
    def disputed(self) -> frozenset[BatchKey]:
        """The batches in which an opened value was ever refuted, or of which keys were posted.

        Their opened values are always kept: whoever reads the log sees by himself then that the
        rounds which failed had to fail, and recomputes what a blame had recomputed. In all other
        batches the first value whose answers lie on one polynomial held from there on.
        """
        self._settle()
        openings = self._parts.batches.ever
        refuted = {each.rule.key for each in openings if each.doubted or each.refuted}
        burns = self._parts.justice.burns
        return frozenset(
            refuted | {each.opening.rule.key for burn in burns for each in burn.revealed}
        )

    def status(self, key: BatchKey) -> BatchStatus:
        """Return where a batch stands."""
        self._settle()
        opening = self._parts.batches.current.get(key)
        if opening is None:
            return BatchStatus(BatchName(*key), BatchState.WAITING)
        return opening.status(self._parts.members)

    def opening(self, key: BatchKey) -> Opening | None:
        """Return roots, rounds and answers of a batch's current context; look only."""
        self._settle()
        return self._parts.batches.current.get(key)

    @property
    def openings(self) -> tuple[Opening, ...]:
        """The openings that take entries now, in the order of the layout; look only."""
        self._settle()
        return tuple(self._parts.batches.live)

    def context(self, key: BatchKey) -> BatchContext | None:
        """Return the current context of a batch, None before it is known."""
        self._settle()
        return self._parts.batches.context(key)

    def owed(self, operator: int) -> tuple[Owed, ...]:
        """Return what this operator owes right now, whether it is absent or not."""
        self._settle()
        return self._parts.owed(operator)

    def summonable(self, operator: int) -> frozenset[str]:
        """Return the slots for which this operator may be summoned right now."""
        self._settle()
        return self._parts.due(operator)

    def waiting_for(self) -> Mapping[int, tuple[Owed, ...]]:
        """Return what the operators that are waited for owe."""
        owed = {operator: self.owed(operator) for operator in sorted(self.members.awaited)}
        return {operator: slots for operator, slots in owed.items() if slots}

    def progress(self, stage: str) -> Mapping[BatchState, int]:
        """Return how many batches of a stage stand where."""
        counts = Counter(self.status(key).state for key in self.batches if key[0] == stage)
        return {state: counts[state] for state in BatchState}
