"""One batch at one operator: share vector -> root -> opening -> answer -> stored share.

PROTOCOL.md, "Opening a batch". Every function here may be called again at any time: it looks at the
log first, does what is missing, and recomputes what was lost. Whatever a step rests on is read from
the log prefix under a co-signed checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from activities import looks
from activities.arithmetic import Question
from activities.decoding import open_vectors
from activities.shares import keep_shares, stored_shares
from activities.values import get_value, get_vector
from activities.vectors import Vectors
from activities.work import work_of
from mpc_core.protocol.context import OFFLINE
from mpc_core.protocol.entries import Answer, Correction, Decoded, Have, Root
from mpc_core.protocol.errors import CeremonyError
from mpc_core.sharing.challenge import challenge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from activities.operator import Operator
    from activities.ports import StagedBlob
    from activities.work import BatchWork
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.context import BatchContext
    from mpc_core.protocol.opening import Opening, Round
    from mpc_core.ring.galois import RingArray
    from mpc_core.sharing.opening import Buffer

__all__ = ["Batches"]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches of a ceremony as one operator works on them."""

    operator: Operator
    _tidied: set[bytes] = field(default_factory=set)
    """Contexts whose share vectors were dropped."""
    stored: set[tuple[bytes, bytes]] = field(default_factory=set)
    """Contexts and roots of opened values whose shares this process has made or read."""

    _others: Vectors = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_others", Vectors(self.operator))

    # -- the three steps of an opening --------------------------------------------------------

    def share(self, key: BatchKey) -> None:
        """Compute the share vector, serve it, and post its root."""
        self.tidy()  # it locks other batches, so never while this one is locked
        with self.operator.lock(f"{key}"):
            context = self._context(key)
            if not self.operator.log.read(lambda state: looks.takes_entries(state, key)):
                return
            index = self.operator.index
            posted = self.operator.log.read(lambda state: looks.roots(state, key).get(index))
            if posted is None:
                self._post_root(key, context)
            elif not self.is_answered(key):
                self._publish_vector(key, context, posted)

    def decode(self, key: BatchKey, number: int) -> None:
        """Open the batch and post the decoder's entry, if that round is this operator's turn."""
        self.operator.log.wait_for(lambda state: looks.turn_of(state, key, number))
        with self.operator.lock(f"{key}"):
            context = self._context(key)
            turn = self.operator.log.wait_for(lambda state: looks.turn_of(state, key, number))
            if turn.decoder != self.operator.index or turn.decoded is not None or turn.closed:
                return
            work = self._work(key, context)
            points, opening = self._open(key, work)
            opening.keep(key[0], shared=True)
            self.operator.log.post(
                Decoded(
                    context.name,
                    context.identifier(self.operator.plan.hash),
                    turn.number,
                    tuple(sorted(points.items())),
                    opening.root,
                )
            )

    def answer(self, key: BatchKey, number: int) -> None:
        """Vouch for the opening and answer every challenge up to a round, then store the shares."""
        log = self.operator.log
        log.wait_for(lambda state: looks.decoded(state, key, number))
        with self.operator.lock(f"{key}"):
            context = self._context(key)
            if not log.read(lambda state: looks.takes_entries(state, key)):
                return
            for turn in log.wait_for(lambda state: looks.decoded(state, key, number)):
                self._answer_round(key, context, turn)

    # -- what later batches build on ------------------------------------------------------------

    def shares(self, key: BatchKey) -> RingArray:
        """Return this operator's stored shares of a batch; recomputed when they are missing.

        Raises:
            CeremonyError: RF-DISK-010, when what was just stored cannot be read back.
        """
        with self.operator.lock(f"{key}"):
            context = self._context(key)
            turn = self.operator.log.wait_for(lambda state: looks.held_round(state, key))
            assert turn.decoded is not None
            ring = self.operator.ring(self.operator.batch(key).word_bits)
            kept = stored_shares(self.operator, context.name, turn.decoded.root, ring)
            if kept is None:
                self._keep(key, context, turn)
                kept = stored_shares(self.operator, context.name, turn.decoded.root, ring)
            if kept is None:
                raise CeremonyError(
                    "RF-DISK-010",
                    "shares that were just stored cannot be read back",
                    operator=self.operator.name,
                    stage=key[0],
                    effect="the batch cannot be used",
                    next_step="check the disk, then run the same command with --resume",
                    runbook="disk-full",
                )
            self._note_stored(context, turn)
            return kept

    def opening(self, key: BatchKey) -> memoryview:
        """Return the public opening of a batch; fetched when it is not here."""
        turn = self.operator.log.wait_for(lambda state: looks.held_round(state, key))
        self._hold(key, turn)
        assert turn.decoded is not None
        return self.operator.blobs.read(turn.decoded.root)

    def opening_of(self, opening: Opening) -> memoryview:
        """Return the value that held in an opening, which may be dead by now."""
        root = opening.held_root
        holders = opening.haves.get(root, set())
        return get_value(self.operator, opening.rule.key, root, holders)

    def hold(self, key: BatchKey) -> None:
        """Have the opened values here that the verdicts of a batch wait for.

        After the seal nobody may be able to serve one any more. Then this operator goes by what n-t
        others found, as everybody does who reads the log without it.
        """
        log = self.operator.log
        with self.operator.lock(f"{key}"):
            for opening, turn in log.read(lambda state: looks.awaited_values(state, key)):
                try:
                    self._hold_of(opening, turn)
                except CeremonyError:
                    if not log.read(lambda state: looks.others_sealed(state, key)):
                        raise
                    self.operator.known.take_for_granted(Question.of(opening.context, turn))
                    log.wake()
                else:
                    self._learn(key, opening.context, turn)

    def _hold_of(self, opening: Opening, turn: Round) -> None:
        key = opening.rule.key
        if self.operator.log.read(lambda state: state.opening(key)) is opening:
            self._hold(key, turn)
            return
        question = Question.of(opening.context, turn)
        holders = opening.haves.get(question.v_root, set())
        get_value(self.operator, key, question.v_root, holders, first=turn.decoder)

    def is_answered(self, key: BatchKey) -> bool:
        """Tell whether a batch has a value that holds and this operator has answered for it.

        Then nobody needs its share vector any more.
        """
        index = self.operator.index
        return self.operator.log.read(lambda state: looks.is_answered(state, key, index))

    def unserved(self) -> tuple[BatchKey, ...]:
        """Return the unopened batches whose share vector others may need and this one lacks."""
        index = self.operator.index
        posted = self.operator.log.read(
            lambda state: [
                (opening.rule.key, opening.roots[index])
                for opening in state.openings
                if index in opening.roots and opening.held is None
            ]
        )
        return tuple(key for key, root in posted if not self.operator.blobs.has(root))

    def serve_again(self, key: BatchKey) -> None:
        """Have the share vector here whose root is on the log; it may be lost with `work/`."""
        with self.operator.lock(f"{key}"):
            context = self._context(key)
            self._own_vector(key, context)
            self._tidied.discard(context.identifier(self.operator.plan.hash))

    def serve_on_demand(self, key: BatchKey) -> None:
        """Have the share vector of a settled batch here again, until the ceremony is over."""
        with self.operator.lock(f"{key}"):
            context = self._context(key)
            self._own_vector(key, context)
            self._tidied.add(context.identifier(self.operator.plan.hash))

    def tidy(self) -> None:
        """Drop the share vectors that nobody needs any more: this one's could be made again.

        And the sums that were noted for batches that are settled, burnt or sealed.
        """
        index = self.operator.index
        self.operator.cache.retain(
            self.operator.log.read(lambda state: looks.unsettled(state, index))
        )
        settled = self.operator.log.read(
            lambda state: [
                opening
                for opening in state.openings
                if opening.context not in self._tidied
                and looks.is_settled(opening, index)
                and not looks.is_disputed(state, opening)
            ]
        )
        for opening in settled:
            with self.operator.lock(f"{opening.rule.key}"):
                for root in tuple(opening.roots.values()):
                    self.operator.blobs.remove(root)
            self._tidied.add(opening.context)

    def forget_openings(self) -> None:
        """Drop opened values of the preprocessing, and vectors: nobody needs them once all is over.

        What the log is judged by stays; without the values it could not be found out again.
        """
        questions = self.operator.log.read(looks.offline_questions)
        for question in questions:
            self.operator.known.make_durable(question)
        for question in questions:
            self.operator.blobs.remove(question.v_root)
        for root in self.operator.log.read(looks.vectors_and_evidence):
            self.operator.blobs.remove(root)

    # -- inside -----------------------------------------------------------------------------------

    def _context(self, key: BatchKey) -> BatchContext:
        return self.operator.log.wait_for(lambda state: state.context(key))

    def _work(self, key: BatchKey, context: BatchContext) -> BatchWork:
        return work_of(self.operator, self.operator.batch(key), context, self)

    def _publish_vector(self, key: BatchKey, context: BatchContext, posted: bytes | None) -> bytes:
        """Have the own share vector in the outbox; return its root.

        A root is noted durably before anybody sees it: until the log covers it, only the note says
        which root this operator has signed.

        Security: whoever published two vectors for one context would show a value and its masks
            twice. A vector that differs from the posted or noted one is never published.
        """
        name = f"roots/{context.identifier(self.operator.plan.hash).hex()}"
        promised = posted or self.operator.work.read(name)
        if promised is not None and self.operator.blobs.read_if_here(promised) is not None:
            return promised
        work = self._work(key, context)
        if posted is None:  # later its shares may be stored already
            work.cache = self.operator.cache
        vector = self.operator.blobs.stage(work.share_pieces())
        if promised is not None and promised != vector.root:
            vector.discard()
            self.operator.cache.drop(work.context_id)
            if posted is not None:
                self._correct(key, context)
            raise self._own_vector_differs(key)
        self.operator.work.write(name, vector.root)
        vector.keep(key[0])
        return vector.root

    def _open(self, key: BatchKey, work: BatchWork) -> tuple[dict[int, bytes], StagedBlob]:
        """Open the batch, from its own vector and whoever else serves; return the roots used.

        Raises:
            CeremonyError: RF-BATCH-010, when the vectors that can be had now give no opening.
        """
        usable, needed = self.operator.log.read(lambda state: looks.usable_roots(state, key))
        refusals: list[CeremonyError] = []
        vectors = self._vectors(key, work, usable, refusals)
        opened = open_vectors(self.operator, work, vectors, needed)
        if opened is None:
            refusals += self._others.try_again(key, work.context)
            raise CeremonyError(
                "RF-BATCH-010",
                "the share vectors that can be fetched do not open the batch",
                operator=self.operator.name,
                stage=key[0],
                expected=f"{needed} vectors that fit one another",
                found=f"{len(usable) - len(refusals)} vectors; "
                + "; ".join(str(refusal) for refusal in refusals),
                effect="the decoder tries again, then the round is closed and the next one decodes",
                next_step="look at the named operators",
                runbook="an-operator-is-down",
            ) from (refusals[-1] if refusals else None)
        chosen, opening = opened
        return {index: usable[index] for index in chosen}, opening

    def _vectors(
        self,
        key: BatchKey,
        work: BatchWork,
        usable: dict[int, bytes],
        refusals: list[CeremonyError],
    ) -> Iterator[tuple[int, Buffer]]:
        """Get vectors as they are asked for; who serves none is noted, and said to the others."""
        own = self.operator.index
        for index in self._others.sources(usable):
            try:
                if index == own:
                    vector: Buffer = self._own_vector(key, work.context)
                else:
                    vector = self._others.get(key, work.context, index, usable[index])
            except CeremonyError as refusal:
                refusals.append(refusal)
            else:
                yield index, vector

    def _hold(self, key: BatchKey, turn: Round) -> None:
        """Have the v of a round here, from its decoder or from whoever vouched for it."""
        assert turn.decoded is not None
        root = turn.decoded.root
        holders = self.operator.log.read(lambda state: looks.holders(state, key, root))
        try:
            get_value(self.operator, key, root, holders, first=turn.decoder)
        except CeremonyError:
            if not self._open_anew(key, turn):
                raise

    def _open_anew(self, key: BatchKey, turn: Round) -> bool:
        """Open a value that nobody serves any more, from the vectors that its decoder used.

        From others instead of those that cannot be had. Whoever has dropped its own makes it again
        once it was asked for; so all are asked, and the next attempt finds them. Returns whether
        the value is here.
        """
        assert turn.decoded is not None
        with self.operator.lock(f"{key}"):
            context = self._context(key)
            work = self._work(key, context)
            used = dict(turn.decoded.points)
            posted = self.operator.log.read(lambda state: looks.roots(state, key))
            vectors = self._vectors_again(key, context, used | posted)
            expected = turn.decoded.root
            opened = open_vectors(self.operator, work, vectors, len(used), expected)
            for index, root in posted.items():
                if index != self.operator.index:
                    self.operator.blobs.remove(root)
            if opened is not None:
                opened[1].keep(key[0], shared=True)
            return opened is not None

    def _vectors_again(
        self, key: BatchKey, context: BatchContext, roots: Mapping[int, bytes]
    ) -> Iterator[tuple[int, Buffer]]:
        """Get the vectors of a settled batch, as far as they can be had."""
        for index, root in roots.items():
            try:
                if index == self.operator.index:
                    vector: Buffer = self._own_vector(key, context)
                else:
                    vector = get_vector(self.operator, key, index, root)
            except CeremonyError as refusal:
                _log.info("a vector is not served", operator=index, reason=str(refusal))
            else:
                yield index, vector

    def _answer_round(self, key: BatchKey, context: BatchContext, turn: Round) -> None:
        assert turn.decoded is not None
        operator, identifier = self.operator, context.identifier(self.operator.plan.hash)
        work = self._work(key, context)
        root = turn.decoded.root
        if not turn.closed:
            self._hold(key, turn)
            work.check_opening(operator.blobs.read(root))
            if operator.index not in operator.log.read(
                lambda state: looks.holders(state, key, root)
            ):
                operator.log.post(Have(context.name, identifier, root))
            self._learn(key, identifier, turn)
            if stored_shares(operator, context.name, root, work.ring) is None:
                self._keep(key, context, turn)
        if operator.index in turn.answers:
            return
        drawn = challenge(operator.plan.hash, identifier, turn.number, turn.log_root)
        values = work.answer(drawn, self._own_vector(key, context))
        operator.log.post(Answer(context.name, identifier, turn.number, turn.log_root, values))

    def _post_root(self, key: BatchKey, context: BatchContext) -> None:
        root = self._publish_vector(key, context, None)
        identifier = context.identifier(self.operator.plan.hash)
        self.operator.log.post(Root(context.name, identifier, root))

    def _own_vector(self, key: BatchKey, context: BatchContext) -> memoryview:
        """Return the share vector that the posted root names, recomputed when it was lost.

        Who was away when the roots were due may be asked for an answer first: nobody else posts
        its root while this batch is locked, so it is posted here.
        """
        index = self.operator.index
        if self.operator.log.read(lambda state: looks.roots(state, key).get(index)) is None:
            self._post_root(key, context)
        posted = self.operator.log.wait_for(lambda state: looks.roots(state, key).get(index))
        return self.operator.blobs.read(self._publish_vector(key, context, posted))

    def _learn(self, key: BatchKey, identifier: bytes, turn: Round) -> None:
        """Compute what the answers must have at 0, once, so that the log can be judged."""
        question = Question.of(identifier, turn)
        if self.operator.known.find(question) is None:
            opening = self.operator.blobs.read(question.v_root)
            self.operator.known.learn(question, self.operator.batch(key), opening)
            self.operator.log.wake()

    def _keep(self, key: BatchKey, context: BatchContext, turn: Round) -> None:
        """Store the shares that follow from the v of a round; without keys v is of no use."""
        assert turn.decoded is not None
        if key[0] in OFFLINE:
            self.operator.stage_keys(key[0])
        self._hold(key, turn)
        work = self._work(key, context)
        work.cache = self.operator.cache
        shares = work.shares(self.operator.blobs.read(turn.decoded.root))
        if shares is not None:
            keep_shares(self.operator, context.name, turn.decoded.root, shares)
            self.operator.cache.drop(work.context_id)
            self._note_stored(context, turn)

    def _note_stored(self, context: BatchContext, turn: Round) -> None:
        assert turn.decoded is not None
        self.stored.add((context.identifier(self.operator.plan.hash), turn.decoded.root))

    def _correct(self, key: BatchKey, context: BatchContext) -> None:
        """Say that the own root is wrong, if the plan allows another correction.

        The batch dies and is drawn anew; nothing is revealed, and nobody excluded.
        """
        operator = self.operator
        if key[0] in OFFLINE and operator.log.read(
            lambda state: looks.may_correct(state, operator.index)
        ):
            identifier = context.identifier(operator.plan.hash)
            operator.log.post(Correction(context.name, identifier))

    def _own_vector_differs(self, key: BatchKey) -> CeremonyError:
        return CeremonyError(
            "RF-BATCH-011",
            "the recomputed share vector differs from the one whose root was signed",
            operator=self.operator.name,
            stage=key[0],
            expected="the same bytes from the same keys",
            found="another root",
            effect="it is not published; a correction has the batch drawn anew, as often as the "
            "plan allows, and without one this operator stays silent in it",
            next_step="check the memory and the vault of this machine",
            runbook="contradicting-answers",
        )
