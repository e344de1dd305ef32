"""What an operator does when answers contradict one another (PROTOCOL.md, "Blame").

It computes its own part again and says so if it was wrong; blames when the time for that is over;
posts its batch keys of what a blame burnt, and nothing else; recomputes what everybody should have
answered, and confirms against whoever answered otherwise. Whatever it acts on lies under a
co-signed checkpoint, and doing it again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from activities.recomputation import lies, wrong_rounds
from activities.work import work_of
from mpc_core.protocol.batch import Verdict
from mpc_core.protocol.context import BatchContext
from mpc_core.protocol.entries import Answer, Blame, Confirmation, Correction, Reveal
from mpc_core.protocol.justice import RECOMPUTED, streams_of

if TYPE_CHECKING:
    from activities.batches import Batches
    from activities.evidence import Prosecutor
    from activities.operator import Operator
    from activities.work import BatchWork
    from mpc_core.protocol.justice import Burn, Revealed
    from mpc_core.protocol.opening import Opening
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Judge"]


@dataclass(frozen=True, slots=True)
class Judge:
    """One operator's part in finding out who lied."""

    operator: Operator
    batches: Batches
    prosecutor: Prosecutor
    _rechecked: set[tuple[bytes, int]] = field(default_factory=set)
    _judged: set[bytes] = field(default_factory=set)

    def is_needed(self, state: CeremonyState) -> bool:
        """Tell whether there is something to do now."""
        return bool(
            self._to_recheck(state)
            or self._to_blame(state)
            or self._to_reveal(state)
            or self._to_judge(state)
        )

    def act(self) -> None:
        """Do whatever is due: correct, blame, reveal, confirm."""
        with self.operator.lock("justice"):
            log = self.operator.log
            for opening in log.read(self._to_recheck):
                self._recheck(opening)
            for opening in log.read(self._to_blame):
                self._blame(opening)
            for burn, revealed in log.read(self._to_reveal):
                self._reveal(revealed, _context_of(burn, revealed))
            for burn in log.read(self._to_judge):
                self._judge(burn)

    # -- the own part, again ------------------------------------------------------------------

    def _to_recheck(self, state: CeremonyState) -> list[Opening]:
        """Return the openings of which a round failed since this operator last looked.

        Not only contradictions: with few answers posted, a false one looks like a wrong v.
        """
        index = self.operator.index
        return [
            opening
            for opening in state.openings
            if opening.rule.degree == "double"
            and index in opening.roots
            and any(turn.verdict in (Verdict.MISFIT, Verdict.ODD_V) for turn in opening.rounds)
            and _own_part(opening, index) not in self._rechecked
        ]

    def _recheck(self, opening: Opening) -> None:
        """Compute the own vector and answers again; post a correction if they were wrong.

        Security: nothing of the second computation is ever published. Two vectors under one mask
            would show their difference.
        """
        key = opening.rule.key
        with self.operator.lock(f"{key}"):
            context = self.operator.log.read(lambda state: state.context(key))
            if context is None or context.name != opening.name:
                return
            work = work_of(self.operator, self.operator.batch(key), context, self.batches)
            right = self._is_right(opening, work)
        self._rechecked.add(_own_part(opening, self.operator.index))
        if not right:
            self.operator.log.post(Correction(opening.name, opening.context))

    def _is_right(self, opening: Opening, work: BatchWork) -> bool:
        vector = self.operator.blobs.stage(work.share_pieces())
        try:
            posted = opening.roots[self.operator.index]
            return vector.root == posted and not list(
                wrong_rounds(self.operator, opening, work, vector.read())
            )
        finally:
            vector.discard()

    # -- blame --------------------------------------------------------------------------------

    def _to_blame(self, state: CeremonyState) -> list[Opening]:
        """Return the first batch that may be blamed now: one at a time, and none after the seal.

        None that evidence will settle: what is not burnt need not be drawn anew.
        """
        if state.sealed is not None or state.justice.unsettled is not None:
            return []
        ripe = [
            each
            for each in state.contradictions
            if each.misfit in each.recomputed and not self.prosecutor.expects_exclusion(state, each)
        ]
        return ripe[:1]

    def _blame(self, opening: Opening) -> None:
        number = opening.misfit
        assert number is not None
        answers, serial = self.operator.log.read(
            lambda state: (
                _answers_of(state, opening, number),
                state.next_try(Blame.kind, self.operator.index),
            )
        )
        self.operator.log.post(Blame(opening.name, opening.context, number, answers, serial))

    # -- keys of dead batches -----------------------------------------------------------------

    def _to_reveal(self, state: CeremonyState) -> list[tuple[Burn, Revealed]]:
        """Return the burnt contexts of which this operator has not posted its keys.

        After the seal nobody reveals anything any more.
        """
        index = self.operator.index
        if state.sealed is not None or index in state.members.excluded:
            return []
        return [
            (burn, revealed)
            for burn in state.justice.burns
            for revealed in burn.revealed
            if index not in revealed.posted
        ]

    def _reveal(self, revealed: Revealed, context: BatchContext) -> None:
        """Post the batch keys of a dead context.

        Security: the keys of one dead batch; HKDF does not lead from them to any other secret.
        """
        opening = revealed.opening
        stage_keys = self.operator.stage_keys(opening.rule.stage)
        encoded = context.encode(self.operator.plan.hash)
        keys = [
            key.key + key.nonce
            for stream in streams_of(opening.rule.stage)
            for key in stage_keys.batch_keys(encoded, stream, opening.rule.word_bits).values()
        ]
        self.operator.log.post(Reveal(opening.name, opening.context, b"".join(keys)))

    # -- judgement ----------------------------------------------------------------------------

    def _to_judge(self, state: CeremonyState) -> list[Burn]:
        if state.sealed is not None or self.operator.index in state.members.excluded:
            return []
        return [
            burn
            for burn in state.justice.burns
            if burn.opening.context not in self._judged
            and all(revealed.right is not None for revealed in burn.revealed)
        ]

    def _judge(self, burn: Burn) -> None:
        """Recompute every suspect's answers; confirm against whoever answered otherwise."""
        confirmed = self.operator.log.read(lambda state: _confirmed(state, self.operator.index))
        for suspect in sorted(burn.suspects - {self.operator.index}):
            seat = replace(self.operator, index=suspect)
            for number in lies(seat, burn, self.batches.opening_of):
                entry = Confirmation(
                    suspect, RECOMPUTED, burn.opening.name, burn.opening.context, number
                )
                if entry not in confirmed:
                    self.operator.log.post(entry)
        self._judged.add(burn.opening.context)


def _own_part(opening: Opening, index: int) -> tuple[bytes, int]:
    """Return what an operator has posted in an opening: its context, and how many answers."""
    return opening.context, sum(index in turn.answers for turn in opening.rounds)


def _answers_of(state: CeremonyState, opening: Opening, number: int) -> tuple[int, ...]:
    """Return the log positions of the answers of a round that count."""
    turn = opening.rounds[number]
    return tuple(
        log.position
        for log in state.log
        if isinstance(log.entry, Answer)
        and log.entry.context == opening.context
        and log.entry.round == number
        and log.author not in state.members.excluded
        and turn.answers.get(log.author) == log.entry.values
    )


def _confirmed(state: CeremonyState, index: int) -> set[Confirmation]:
    return {
        log.entry
        for log in state.log
        if isinstance(log.entry, Confirmation) and log.signers == (index,)
    }


def _context_of(burn: Burn, revealed: Revealed) -> BatchContext:
    """Return the whole context of a dead batch: its name and the values it was made from."""
    burnt, *consumed = burn.revealed
    roots = tuple(each.opening.held_root for each in consumed) if revealed is burnt else ()
    return BatchContext(revealed.opening.name, roots)
