"""The opened values as the coordinator holds them: fetched from who vouched for them, verified."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from activities import looks
from activities.arithmetic import Question
from activities.evidence import has_evidence_size, proven_evidence
from activities.operator import batch_layout
from activities.serving import decoding_load
from infra.publish import Opened, kept_batches, rejected_roots
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from activities.arithmetic import KnownValues
    from infra.party.log import PartyLog
    from infra.party.peers import PeerBook
    from infra.publish import Keeps
    from infra.stores import BlobStore
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.entries import Evidence
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Openings"]

_log = structlog.get_logger()


class Openings:
    """Fetches opened values and hands them out by batch."""

    def __init__(
        self,
        log: PartyLog,
        known: KnownValues,
        blobs: BlobStore,
        peers: PeerBook,
        layout: CeremonyLayout,
    ) -> None:
        self.log = log
        self._known = known
        self._blobs = blobs
        self._peers = peers
        self._layout = layout
        self._fetching = threading.Lock()
        self._served: Counter[int] = Counter()
        self._failed: Counter[int] = Counter()
        self._shown_in_vain: set[bytes] = set()

    def fetch_unknown(self) -> None:
        """Learn every opened value that a verdict waits for; one thread at a time does it."""
        if not self._fetching.acquire(blocking=False):
            return
        try:
            for key in self.log.read(lambda state: state.awaiting_v):
                self._fetch(key)
            self.fetch_evidence()
        finally:
            self._fetching.release()

    def read(self, key: BatchKey) -> memoryview:
        """Return the opening that holds for a batch.

        Raises:
            CeremonyError: RF-RUN-012, when the batch is not opened or its value is not here.
        """
        return self._blobs.read(self._root_here(key))

    def opened(self, key: BatchKey) -> Opened:
        """Return the opening that holds for a batch as it is published.

        Raises:
            CeremonyError: RF-RUN-012, as `read`.
        """
        return self._as_published(key, self._root_here(key))

    def kept(self, keeps: Keeps) -> tuple[BatchKey, ...]:
        """Return the batches whose openings a transcript keeps."""
        return self.log.read(lambda state: kept_batches(self._layout, state, keeps))

    def refuted(self, kept: Collection[BatchKey]) -> Iterator[Opened]:
        """Yield the other opened values of these batches, without which no round shows why.

        Those that are not here no verdict ever asked for.
        """
        for key, root in self.log.read(lambda state: rejected_roots(state, kept)):
            if self._blobs.has(root):
                yield self._as_published(key, root)

    def evidence(self) -> Iterator[Opened]:
        """Yield what was shown against operators that were excluded by it."""
        for shown, _ in self.log.read(proven_evidence):
            if self._blobs.has(shown.entry.root):
                yield Opened(shown.entry.root, self._blobs.read(shown.entry.root))

    def fetch_evidence(self) -> None:
        """Have what was shown against excluded operators here, as long as it is served."""
        for shown, opening in self.log.read(proven_evidence):
            entry, batch = shown.entry, batch_layout(self._layout, self.log, opening.rule.key)
            if self._blobs.has(entry.root) or entry.root in self._shown_in_vain:
                continue
            plan = self.log.read(lambda state: state.plan)
            if has_evidence_size(entry, opening, batch, plan):
                self._fetch_evidence(shown.author, entry)

    def _fetch_evidence(self, author: int, entry: Evidence) -> None:
        try:
            self._peers.fetch(author, entry.root, entry.size, entry.batch.stage)
        except CeremonyError as error:
            _log.info("evidence not served", operator=author, reason=str(error))
            self._shown_in_vain.add(entry.root)

    def forget_all_but(self, kept: Collection[BatchKey], tick: Callable[[], None]) -> None:
        """Drop the opened values of other batches of N, S and M: their verdicts are known.

        What is known of them is made durable first: without the values it could not be found out
        again, and the log could not be followed any more.

        Args:
            kept: batches whose openings stay.
            tick: called between files.
        """
        dropped = self.log.read(lambda state: _questions_outside(state, kept))
        for question in dropped:
            self._known.make_durable(question)
            tick()
        for question in dropped:
            self._blobs.remove(question.v_root)

    def _root_here(self, key: BatchKey) -> bytes:
        root = self.log.read(lambda state: _root(state, key))
        if root is not None and not self._blobs.has(root):
            self._bring_back(key, root)
        if root is None or not self._blobs.has(root):
            raise CeremonyError(
                "RF-RUN-012",
                "an opened value is not here",
                expected=f"the opening of batch {key[0]}-{key[1]}",
                found="no opening that holds" if root is None else "no copy of it",
                effect="the key set cannot be written yet",
                next_step="run the same command with --resume",
                runbook="resume",
            )
        return root

    def _bring_back(self, key: BatchKey, root: bytes) -> None:
        """Fetch an opened value again whose copy was damaged; who has none makes it for later."""
        size = batch_layout(self._layout, self.log, key).opened_bytes
        holders = self.log.read(lambda state: _holders(state, key, root))
        for operator in sorted(holders, key=self._rank):
            try:
                self._peers.fetch(operator, root, size, key[0], shared=True)
            except CeremonyError as error:
                _log.info("opening not served", operator=operator, reason=str(error))
            else:
                return

    def _as_published(self, key: BatchKey, root: bytes) -> Opened:
        data = self._blobs.read(root)
        path = self._blobs.path(root, key[0])
        return Opened(root, data, path if path.exists() else None)

    def _fetch(self, key: BatchKey) -> None:
        batch = batch_layout(self._layout, self.log, key)
        for wanted in self.log.read(lambda state: _wanted(state, key)):
            root, size = wanted.question.v_root, batch.opened_bytes
            if (
                self._blobs.has(root)
                or self._blobs.adopt(root, size, key[0])
                or self._ask_holders(wanted, size, key[0])
            ):
                self._known.learn(wanted.question, batch, self._blobs.read(root))
                self.log.wake()
            elif self.log.read(lambda state: looks.others_sealed(state, key)):
                self._known.take_for_granted(wanted.question)
                self.log.wake()

    def _ask_holders(self, wanted: _Wanted, size: int, label: str) -> bool:
        """Ask whoever has it; who does not answer is passed over, and from then on asked last."""
        self._note_load(wanted, size)
        for operator in sorted(wanted.holders, key=self._rank):
            try:
                self._peers.fetch(operator, wanted.question.v_root, size, label, shared=True)
            except CeremonyError as error:
                _log.info("opening not served", operator=operator, reason=str(error))
                self._failed[operator] += 1
            else:
                self._failed[operator] = 0
                self._served[operator] += size
                return True
        return False

    def _rank(self, operator: int) -> tuple[int, int, int]:
        """Return what decides who is asked first: a call in vain takes a minute."""
        return (self._failed[operator], self._served[operator], operator)

    def _note_load(self, wanted: _Wanted, size: int) -> None:
        """Count what operators send one another: who sends most is asked last."""
        if not self._served:
            self._served.update(decoding_load(self._layout, wanted.count))
        for operator in wanted.points:
            if operator != wanted.decoder:
                self._served[operator] += size


def _holders(state: CeremonyState, key: BatchKey, root: bytes) -> frozenset[int]:
    opening = state.opening(key)
    return frozenset() if opening is None else frozenset(opening.haves.get(root, ()))


def _root(state: CeremonyState, key: BatchKey) -> bytes | None:
    opening = state.opening(key)
    return None if opening is None else opening.v_root


def _questions_outside(state: CeremonyState, kept: Collection[BatchKey]) -> list[Question]:
    """Return what names the opened values of batches of N, S and M that are not kept."""
    return [
        Question.of(opening.context, turn)
        for opening in state.ever_opened
        if opening.rule.stage != "O" and opening.rule.key not in kept
        for turn in opening.rounds
        if turn.decoded is not None
    ]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An opened value that a verdict waits for, with who decoded it, who helped and who has it."""

    question: Question
    decoder: int
    points: tuple[int, ...]
    holders: frozenset[int]
    count: int


def _wanted(state: CeremonyState, key: BatchKey) -> list[_Wanted]:
    return [
        _Wanted(
            Question.of(opening.context, turn),
            turn.decoder,
            tuple(operator for operator, _ in turn.decoded.points),
            frozenset(opening.haves.get(turn.decoded.root, ())),
            state.plan.count,
        )
        for opening, turn in looks.awaited_values(state, key)
        if turn.decoded is not None
    ]
