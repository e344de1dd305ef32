"""Accusing with evidence, and checking the evidence of others (PROTOCOL.md, "Opening a batch").

- Whoever holds a share vector that its author's answer does not follow from shows it (ground
  "vector"). Decoders hold the vectors of their list.
- The next decoder after a v that does not fit fetches the same vectors; when they give another v,
  it shows one element of each of them (ground "decoder").
- Everybody checks what others show, and confirms it if and only if it holds. Evidence of one
  author for one accusation is fetched once, and only up to the size that evidence can have.
- While answers contradict one another everybody first gets the time to find errors of its own:
  evidence is shown at once, and confirmed when that time is over. Whoever has confirmed does not
  blame: with the liar excluded, nothing has to be burnt.

Whatever is done here rests on the log under a co-signed checkpoint; doing it again changes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from activities.values import get_value, get_vector
from mpc_core.protocol.batch import Verdict
from mpc_core.protocol.entries import Confirmation, Evidence
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.justice import DECODER, VECTOR, Accusation
from mpc_core.ring.galois import Ring
from mpc_core.sharing.challenge import challenge
from mpc_core.sharing.evidence import (
    DecoderClaim,
    Encoding,
    contradicts_answer,
    decoder_evidence,
    first_misfit,
    largest_decoder_evidence,
    refutes_decoder,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from activities.operator import Operator
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.protocol.entries import LogEntry
    from mpc_core.protocol.opening import Opening, Round
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState
    from mpc_core.sharing.opening import Buffer

__all__ = ["Prosecutor", "Shown", "evidence_holds", "has_evidence_size", "proven_evidence"]

_CALLS = 3
"""How often an operator that cannot be reached is asked for what an accusation rests on."""

_FAILED = (Verdict.MISFIT, Verdict.ODD_V)


@dataclass(frozen=True, slots=True)
class Shown:
    """Evidence as it stands on the log: who shows what, and where."""

    author: int
    position: int
    entry: Evidence


def proven_evidence(state: CeremonyState) -> tuple[tuple[Shown, Opening], ...]:
    """Return what was shown for accusations that were confirmed, with what it is about."""
    return tuple(
        (Shown(log.author, log.position, log.entry), _opening(state, accusation.context))
        for accusation, posted in state.justice.evidence.items()
        if accusation in state.justice.proven
        for log in posted.values()
        if isinstance(log.entry, Evidence)
    )


def has_evidence_size(entry: Evidence, opening: Opening, batch: BatchLayout, plan: Plan) -> bool:
    """Tell whether evidence can be this large at all, before anything of it is fetched."""
    encoding = _encoding(batch, plan)
    if entry.ground == VECTOR:
        return entry.size == encoding.size
    return entry.size <= largest_decoder_evidence(_claim(opening, entry.round), encoding)


def evidence_holds(
    entry: Evidence, data: Buffer, opening: Opening, batch: BatchLayout, plan: Plan
) -> bool:
    """Tell whether evidence proves what its entry says.

    Args:
        entry: the accusation, which counts on the log.
        data: the evidence; its Merkle root is the one that the entry names.
        opening: what it is about.
        batch: the batch of that opening.
        plan: the signed plan.

    Security: a pure function of log and evidence, so all honest operators agree, and so does
        everybody who reads the log later.
    """
    encoding = _encoding(batch, plan)
    if entry.ground == DECODER:
        return refutes_decoder(data, _claim(opening, entry.round), encoding)
    turn = opening.rounds[entry.round]
    drawn = challenge(plan.hash, opening.context, turn.number, turn.log_root)
    return contradicts_answer(
        data, opening.roots[entry.accused], turn.answers[entry.accused], drawn, encoding
    )


def _encoding(batch: BatchLayout, plan: Plan) -> Encoding:
    ring = Ring(batch.word_bits, batch.degree)
    return Encoding(batch.element_groups, ring, plan.layout.leaf_bytes)


def _claim(opening: Opening, number: int) -> DecoderClaim:
    decoded = opening.rounds[number].decoded
    assert decoded is not None, "evidence is about rounds with a decoder's entry"
    degree = opening.rule.polynomial_degree(opening.quorum)
    return DecoderClaim(decoded.points, decoded.root, degree)


@dataclass(frozen=True, slots=True)
class Prosecutor:
    """One operator's part in showing evidence and in checking it."""

    operator: Operator
    _compared: set[tuple[bytes, int, int]] = field(default_factory=set)
    """Answers that were compared with their vector: context, round, operator."""
    _retraced: set[tuple[bytes, int]] = field(default_factory=set)
    """Rounds whose v was interpolated again: context, round."""
    _examined: set[tuple[Accusation, int]] = field(default_factory=set)
    """Evidence that was looked at: accusation, author."""
    _confirmed: set[Accusation] = field(default_factory=set)
    """What this operator has confirmed since it started."""
    _calls: Counter[object] = field(default_factory=Counter)
    """Calls in vain, by what they were for."""

    def is_needed(self, state: CeremonyState) -> bool:
        """Tell whether there is something to do now."""
        return bool(self._tasks(state))

    def act(self) -> None:
        """Do whatever is due: show evidence, check that of others.

        Raises:
            CeremonyError: the first refusal, after everything else was tried.
        """
        refusals: list[CeremonyError] = []
        with self.operator.lock("evidence"):
            for task in self.operator.log.read(self._tasks):
                try:
                    task()
                except CeremonyError as refusal:
                    refusals.append(refusal)
        if refusals:
            raise refusals[0]

    def _tasks(self, state: CeremonyState) -> list[Callable[[], None]]:
        return [
            *(partial(self._compare, *found) for found in self._to_compare(state)),
            *(partial(self._retrace, *found) for found in self._to_retrace(state)),
            *(partial(self._examine, *found) for found in self._to_examine(state)),
        ]

    def _is_spent(self, purpose: object) -> bool:
        """Count a call; tell whether it was the last one that is made for this purpose."""
        self._calls[purpose] += 1
        return self._calls[purpose] >= _CALLS

    # -- ground "vector" ----------------------------------------------------------------------

    def _to_compare(self, state: CeremonyState) -> Iterator[tuple[Opening, Round, int]]:
        """Yield the answers in failed or contradicting rounds whose vectors are here."""
        for opening, turn in _failed_rounds(state):
            for accused in sorted(turn.answers.keys() & opening.roots.keys()):
                if (
                    accused not in state.members.excluded | {self.operator.index}
                    and (opening.context, turn.number, accused) not in self._compared
                    and self.operator.blobs.has(opening.roots[accused])
                ):
                    yield opening, turn, accused

    def _compare(self, opening: Opening, turn: Round, accused: int) -> None:
        root = opening.roots[accused]
        vector = self.operator.blobs.read_if_here(root)
        if vector is not None:
            entry = Evidence(
                accused, VECTOR, opening.name, opening.context, turn.number, root, len(vector)
            )
            batch = self.operator.batch(opening.rule.key)
            if evidence_holds(entry, vector, opening, batch, self.operator.plan):
                self._accuse(entry)
        self._compared.add((opening.context, turn.number, accused))

    # -- ground "decoder" ---------------------------------------------------------------------

    def _to_retrace(self, state: CeremonyState) -> Iterator[tuple[Opening, Round]]:
        """Yield rounds whose v did not fit and after which this operator decodes."""
        index, excluded = self.operator.index, state.members.excluded
        for opening, turn in _failed_rounds(state):
            if (
                turn.verdict is Verdict.ODD_V
                and turn.decoder not in excluded | {index}
                and any(later.decoder == index for later in opening.rounds[turn.number + 1 :])
                and (opening.context, turn.number) not in self._retraced
            ):
                yield opening, turn

    def _retrace(self, opening: Opening, turn: Round) -> None:
        """Interpolate the listed vectors again; accuse the decoder if they give another v."""
        done = (opening.context, turn.number)
        operator, key = self.operator, opening.rule.key
        claim, batch = _claim(opening, turn.number), operator.batch(key)
        try:
            vectors = {
                index: get_vector(operator, key, index, root) for index, root in claim.points
            }
            v = get_value(operator, key, claim.root, opening.haves.get(claim.root, set()))
        except CeremonyError:
            if self._is_spent(done):
                self._retraced.add(done)
            raise
        encoding = _encoding(batch, self.operator.plan)
        element = first_misfit(claim, vectors, v, encoding)
        if element is not None:
            evidence = decoder_evidence(element, claim, vectors, v, encoding)
            root = self._serve(evidence, batch.stage)
            name, context, number = opening.name, opening.context, turn.number
            self._accuse(
                Evidence(turn.decoder, DECODER, name, context, number, root, len(evidence))
            )
        self._retraced.add(done)

    def _serve(self, evidence: bytes, label: str) -> bytes:
        staged = self.operator.blobs.stage([evidence])
        staged.keep(label)
        return staged.root

    def _accuse(self, entry: Evidence) -> None:
        index = self.operator.index
        accusation = Accusation(entry.accused, entry.ground, entry.context, entry.round)
        if self.operator.log.read(
            lambda state: index not in state.justice.evidence.get(accusation, ())
        ):
            self.operator.log.post(entry)

    # -- the evidence of others ---------------------------------------------------------------

    def _to_examine(self, state: CeremonyState) -> Iterator[tuple[Accusation, LogEntry]]:
        """Yield the evidence that may still make a difference and was not looked at."""
        index, justice = self.operator.index, state.justice
        beyond = state.members.excluded | {index}
        for accusation, posted in justice.evidence.items():
            confirmed = index in justice.confirmations.get(accusation, ())
            if confirmed or accusation.accused in beyond:
                continue
            if not _may_be_confirmed(state, accusation):
                continue
            for author, log in posted.items():
                assert isinstance(log.entry, Evidence)
                lost = author == index and not self.operator.blobs.has(log.entry.root)
                if not lost and (accusation, author) not in self._examined:
                    yield accusation, log

    def _examine(self, accusation: Accusation, log: LogEntry) -> None:
        """Confirm an accusation if its evidence holds.

        Security: an author costs one fetch of at most the size that evidence can have.
        """
        entry, done = log.entry, (accusation, log.author)
        assert isinstance(entry, Evidence)
        opening = self.operator.log.read(lambda state: _opening(state, entry.context))
        batch, plan = self.operator.batch(opening.rule.key), self.operator.plan
        if has_evidence_size(entry, opening, batch, plan):
            try:
                data = self._shown(log.author, entry)
            except CeremonyError:
                if self._is_spent(done):
                    self._examined.add(done)
                raise
            if evidence_holds(entry, data, opening, batch, plan):
                self._confirm(accusation, entry)
        self._examined.add(done)

    def _shown(self, author: int, entry: Evidence) -> Buffer:
        """Return what an author shows."""
        if not self.operator.blobs.has(entry.root):
            self.operator.peers.fetch(author, entry.root, entry.size, entry.batch.stage)
        return self.operator.blobs.read(entry.root)

    def _confirm(self, accusation: Accusation, entry: Evidence) -> None:
        index = self.operator.index
        if self.operator.log.read(
            lambda state: index not in state.justice.confirmations.get(accusation, ())
        ):
            self.operator.log.post(
                Confirmation(entry.accused, entry.ground, entry.batch, entry.context, entry.round)
            )
        self._confirmed.add(accusation)

    def expects_exclusion(self, state: CeremonyState, opening: Opening) -> bool:
        """Tell whether evidence will settle a contradiction, as far as this operator knows.

        If n-t honest operators have confirmed it, the accused is excluded; otherwise one that has
        not blames. The accused itself leaves that to the others.
        """
        index, justice = self.operator.index, state.justice
        pending = [
            each
            for each in justice.evidence
            if each.context == opening.context
            and each.ground == VECTOR
            and each not in justice.proven
        ]
        return any(
            each.accused == index
            or each in self._confirmed
            or index in justice.confirmations.get(each, ())
            for each in pending
        )


def _failed_rounds(state: CeremonyState) -> Iterator[tuple[Opening, Round]]:
    """Yield the rounds whose answers contradict one another, or the v."""
    for opening in state.openings:
        for turn in opening.rounds:
            if turn.decoded is not None and turn.verdict in _FAILED:
                yield opening, turn


def _may_be_confirmed(state: CeremonyState, accusation: Accusation) -> bool:
    """Tell whether an accusation is about a batch that still counts, and everybody had its time.

    A correction makes an end of a batch and of what was said about it.
    """
    opening = _opening(state, accusation.context)
    if opening.dead:
        return False
    turn = opening.rounds[accusation.round]
    had_time = turn.closed or turn.number in opening.recomputed
    if accusation.ground == VECTOR and not had_time:
        return False
    return any(each.rule.stage == opening.rule.stage for each in state.openings)


def _opening(state: CeremonyState, context: bytes) -> Opening:
    return next(each for each in state.ever_opened if each.context == context)
