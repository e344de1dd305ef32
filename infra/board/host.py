"""What a board's host does, without a network or a clock: entries in, heads and checkpoints out.

One head at a time is proposed, over everything in the log. With n-t signatures it is certified,
with n-t signatures of its certificate it counts; then the next one is proposed if there are
entries beyond it. Any n-t operators get a checkpoint through: nothing waits for a particular one,
and an operator that comes back is offered whatever it has not signed. Signatures are kept on disk
once the checkpoint counts; a host that restarts before proposes anew, and since the log only
grows, whoever signed the lost proposal can sign the new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from infra.board.messages import ANSWER_BYTES, SyncAnswer, Vote
from infra.board.notes import (
    Checkpoint,
    Head,
    HeadSignature,
    certificate_text,
    head_text,
    signature_is_valid,
)
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from infra.board.messages import SyncRequest
    from infra.board.moves import Opening
    from mpc_core.protocol.plan import Plan

__all__ = ["Host", "HostLog", "News"]

ENTRIES_PER_ANSWER = 1000


class HostLog(Protocol):
    """Where a host keeps its log; `infra.board.log` implements it over a database."""

    @property
    def size(self) -> int:
        """Number of entries."""
        ...

    def append(self, data: bytes) -> int:
        """Take an envelope as the next entry; return its position."""
        ...

    def entries(self, first: int, limit: int, most_bytes: int | None = None) -> list[bytes]:
        """Return up to `limit` entries from position `first`."""
        ...

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first `size` entries."""
        ...

    def record(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint that counts."""
        ...

    def checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint that was recorded."""
        ...

    def opening(self) -> Opening | None:
        """Return what opened the newest epoch, None in epoch 0."""
        ...


@dataclass(frozen=True, slots=True)
class News:
    """What a member has not seen: all None when there is nothing."""

    proposal: Head | None = None
    certified: Checkpoint | None = None
    counted: Checkpoint | None = None
    opening: Opening | None = None

    def __bool__(self) -> bool:
        found = (self.proposal, self.certified, self.counted, self.opening)
        return any(each is not None for each in found)


class Host:
    """One ceremony's board in one epoch. Not safe to use from several threads."""

    def __init__(self, log: HostLog, plan: Plan) -> None:
        self.plan = plan
        self._log = log
        self._opening = log.opening()
        self._indices = {operator.name: operator.index for operator in plan.operators}
        self.counted = log.checkpoint()
        self._proposal: Head | None = None
        self._certified: Checkpoint | None = None
        self.heads: dict[int, HeadSignature] = {}
        self.certificates: dict[int, HeadSignature] = {}
        self.propose()

    @property
    def epoch(self) -> int:
        """The epoch in which heads are proposed."""
        return self._opening.epoch if self._opening is not None else 0

    @property
    def is_gathering(self) -> bool:
        """Whether a head is on its way."""
        return self._proposal is not None

    def propose(self) -> None:
        """Propose a head over everything, unless one is on its way or all is covered."""
        size = self._log.size
        if self._proposal is None and size > (self.counted.head.size if self.counted else 0):
            self._proposal = Head(self.epoch, size, self._log.root(size))
            self._certified = None
            self.heads, self.certificates = {}, {}

    def take(self, member: str, request: SyncRequest) -> None:
        """Take a member's signatures of the current proposal.

        Raises:
            CeremonyError: RF-LOG-022 if it holds more than this log, RF-LOG-023 if it is in a
                later epoch, RF-LOG-028 if a signature is not valid.
        """
        if request.epoch > self.epoch:
            raise self._out_of_step(request, member)
        if request.epoch < self.epoch:
            return  # it learns of this epoch first, and drops what is not under its base
        if request.held > self._log.size:
            raise self._out_of_step(request, member)
        index = self._indices.get(member)
        if index is not None:
            self._count_votes(index, request)

    def counts_now(self) -> Checkpoint | None:
        """Return the checkpoint that counts by the signatures taken last, to be recorded."""
        certified = self._certified
        if certified is None or len(self.certificates) < self.plan.quorum:
            return None
        signatures = tuple(sorted(self.certificates.values()))
        return Checkpoint(certified.head, certified.head_signatures, signatures)

    def recorded(self, checkpoint: Checkpoint) -> None:
        """Go on after a checkpoint that is durable."""
        self.counted, self._proposal, self._certified = checkpoint, None, None

    def settle(self) -> None:
        """Keep a checkpoint that now counts and propose the next head."""
        checkpoint = self.counts_now()
        if checkpoint is not None:
            self._log.record(checkpoint)
            self.recorded(checkpoint)
        self.propose()

    def news(self, member: str, request: SyncRequest) -> News:
        """Return head to sign, certificate to sign, and checkpoint to learn, as far as new."""
        if request.epoch < self.epoch:
            return News(opening=self._opening)
        index = self._indices.get(member)
        to_sign = index is not None and self._certified is None and index not in self.heads
        to_certify = index is not None and index not in self.certificates
        is_newer = self.counted is not None and self.counted.head.size > request.covered
        return News(
            proposal=self._proposal if to_sign else None,
            certified=self._certified if to_certify else None,
            counted=self.counted if is_newer else None,
        )

    def answer(self, request: SyncRequest, news: News) -> SyncAnswer:
        """Return the entries that a member lacks, with what is new for it."""
        first = request.held
        if news.opening is not None:
            return SyncAnswer(first, opening=news.opening)
        entries = self._log.entries(first, ENTRIES_PER_ANSWER, ANSWER_BYTES)
        return SyncAnswer(first, tuple(entries), news.proposal, news.certified, news.counted)

    def _count_votes(self, index: int, request: SyncRequest) -> None:
        """Take signatures of the current proposal; those of an earlier one come too late."""
        proposal = self._proposal
        if proposal is None:
            return
        ceremony, quorum = self.plan.ceremony_id, self.plan.quorum
        if request.head is not None and request.head.size == proposal.size:
            text = head_text(ceremony, proposal)
            self.heads[index] = self._verified(index, request.head, text)
        if self._certified is None and len(self.heads) >= quorum:
            self._certified = Checkpoint(proposal, tuple(sorted(self.heads.values())))
        if (
            self._certified is not None
            and request.certificate is not None
            and request.certificate.size == proposal.size
        ):
            text = certificate_text(ceremony, proposal)
            self.certificates[index] = self._verified(index, request.certificate, text)

    def _verified(self, index: int, vote: Vote, text: bytes) -> HeadSignature:
        part = HeadSignature(index, vote.signature)
        if not signature_is_valid(self.plan, text, part):
            raise CeremonyError(
                "RF-LOG-028",
                "an operator's signature does not fit the head that was proposed to it",
                expected="a signature of the current proposal",
                found="a signature of something else",
                effect="it is not counted; other operators can still complete the checkpoint",
                operator=self.plan.name_of(index),
                runbook="board-refuses",
            )
        return part

    def _out_of_step(self, request: SyncRequest, member: str) -> CeremonyError:
        other_epoch = request.epoch != self.epoch
        return CeremonyError(
            "RF-LOG-023" if other_epoch else "RF-LOG-022",
            "the operator has left the epoch of this board"
            if other_epoch
            else "the operator holds entries that this board has lost",
            expected=f"epoch {self.epoch} and at most {self._log.size} entries",
            found=f"epoch {request.epoch} and {request.held} entries",
            effect="they do not go on together",
            next_step="move the log to a host that extends the highest certificate",
            operator=member,
            runbook="forked-log",
        )
