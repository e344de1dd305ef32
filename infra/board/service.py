"""The board's host: takes entries, proposes heads, collects signatures.

One head at a time is proposed, over everything in the log. With n-t signatures it is certified,
with n-t signatures of its certificate it counts; then the next one is proposed if there are
entries beyond it. Any n-t operators get a checkpoint through: nothing waits for a particular one,
and an operator that comes back is offered whatever it has not signed. Signatures are kept on disk
once the checkpoint counts; a host that restarts before proposes anew, and since the log only
grows, whoever signed the lost proposal can sign the new one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from infra.board import strict
from infra.board.messages import (
    ANSWER_BYTES,
    REQUEST_BYTES,
    Refusal,
    SubmitAnswer,
    SyncAnswer,
    SyncReply,
    SyncRequest,
    Vote,
    read_message,
)
from infra.board.notes import (
    Checkpoint,
    Head,
    HeadSignature,
    certificate_text,
    head_text,
    signature_is_valid,
)
from infra.transport.outbox import CALLER
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from infra.board.log import BoardLog
    from mpc_core.protocol.plan import Plan

__all__ = ["ENTRIES_PATH", "SYNC_PATH", "Board", "routes"]

ENTRIES_PATH = "/board/entries"
SYNC_PATH = "/board/sync"

POLL_SECONDS = 20.0
"""How long a sync waits for something new."""

ENTRIES_PER_ANSWER = 1000

GATHER_SECONDS = 0.03
"""How long the first entry after a pause waits for others, so that one checkpoint covers them."""


class Board:
    """One ceremony's board in one epoch. Lives on one event loop."""

    def __init__(
        self,
        log: BoardLog,
        plan: Plan,
        *,
        epoch: int = 0,
        poll_seconds: float = POLL_SECONDS,
        gather_seconds: float = GATHER_SECONDS,
    ) -> None:
        self.plan = plan
        self._log = log
        self._epoch = epoch
        self._poll_seconds = poll_seconds
        self._gather_seconds = gather_seconds
        self._gathering = False
        self._indices = {operator.name: operator.index for operator in plan.operators}
        self._changed = asyncio.Condition()
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._counted = log.checkpoint()
        self._proposal: Head | None = None
        self._certified: Checkpoint | None = None
        self._heads: dict[int, HeadSignature] = {}
        self._certificates: dict[int, HeadSignature] = {}
        self._propose()

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint that counts."""
        return self._counted

    async def submit(self, envelope: bytes) -> int:
        """Take an entry, whoever brings it, and return its position.

        Raises:
            CeremonyError: as `BoardLog.append`.
        """
        task = asyncio.create_task(self._append(envelope))
        self._keep(task)
        return await asyncio.shield(task)  # an append is told to all, also if its caller left

    async def sync(self, member: str, request: SyncRequest) -> SyncAnswer:
        """Take a member's signatures and answer as soon as there is something new for it.

        Raises:
            CeremonyError: RF-LOG-022 if it holds more than this log, RF-LOG-023 if it signs in
                another epoch, RF-LOG-028 if a signature is not valid.
        """
        index = self._indices.get(member)
        if request.epoch != self._epoch or request.held > self._log.size:
            raise self._out_of_step(request, member)
        if index is not None:
            self._count_votes(index, request)
        await self._settle()
        await self._await_news(index, request)
        return await self._answer(index, request)

    async def _append(self, envelope: bytes) -> int:
        async with self._writing:
            position = await asyncio.to_thread(self._log.append, envelope)
        if self._proposal is None and not self._gathering:
            self._gathering = True
            self._keep(asyncio.create_task(self._propose_soon()))
        return position

    def _keep(self, task: asyncio.Task[Any]) -> None:
        """Hold on to a task until it is done; the loop itself does not."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _propose_soon(self) -> None:
        """Propose a head once the entries that come together are all here."""
        await asyncio.sleep(self._gather_seconds)
        self._gathering = False
        await self._settle()

    def _propose(self) -> None:
        """Propose a head over everything, unless one is on its way or all is covered."""
        size = self._log.size
        if self._proposal is None and size > (self._counted.head.size if self._counted else 0):
            self._proposal = Head(self._epoch, size, self._log.root(size))
            self._certified = None
            self._heads, self._certificates = {}, {}

    def _count_votes(self, index: int, request: SyncRequest) -> None:
        """Take signatures of the current proposal; those of an earlier one come too late."""
        proposal = self._proposal
        if proposal is None:
            return
        ceremony, quorum = self.plan.ceremony_id, self.plan.quorum
        if request.head is not None and request.head.size == proposal.size:
            text = head_text(ceremony, proposal)
            self._heads[index] = self._verified(index, request.head, text)
        if self._certified is None and len(self._heads) >= quorum:
            self._certified = Checkpoint(proposal, tuple(sorted(self._heads.values())))
        if (
            self._certified is not None
            and request.certificate is not None
            and request.certificate.size == proposal.size
        ):
            text = certificate_text(ceremony, proposal)
            self._certificates[index] = self._verified(index, request.certificate, text)

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

    async def _settle(self) -> None:
        """Keep a checkpoint that now counts, propose the next head, and tell everybody."""
        async with self._writing:
            certified = self._certified
            if certified is not None and len(self._certificates) >= self.plan.quorum:
                counted = Checkpoint(
                    certified.head,
                    certified.head_signatures,
                    tuple(sorted(self._certificates.values())),
                )
                await asyncio.to_thread(self._log.record, counted)
                self._counted, self._proposal, self._certified = counted, None, None
            self._propose()
        async with self._changed:
            self._changed.notify_all()

    def _offer(
        self, index: int | None, request: SyncRequest
    ) -> tuple[Head | None, Checkpoint | None, Checkpoint | None]:
        """Return head to sign, certificate to sign, and checkpoint to learn, as far as new."""
        certified, counted = self._certified, self._counted
        to_sign = index is not None and certified is None and index not in self._heads
        to_certify = index is not None and index not in self._certificates
        is_newer = counted is not None and counted.head.size > request.covered
        return (
            self._proposal if to_sign else None,
            certified if to_certify else None,
            counted if is_newer else None,
        )

    async def _await_news(self, index: int | None, request: SyncRequest) -> None:
        async with self._changed:
            try:
                async with asyncio.timeout(self._poll_seconds):
                    await self._changed.wait_for(lambda: any(self._offer(index, request)))
            except TimeoutError:
                return  # the caller asks again; so it learns that the host is alive

    async def _answer(self, index: int | None, request: SyncRequest) -> SyncAnswer:
        proposal, certified, counted = self._offer(index, request)
        entries = await asyncio.to_thread(
            self._log.entries, request.held, ENTRIES_PER_ANSWER, ANSWER_BYTES
        )
        return SyncAnswer(request.held, tuple(entries), proposal, certified, counted)

    def _out_of_step(self, request: SyncRequest, member: str) -> CeremonyError:
        other_epoch = request.epoch != self._epoch
        return CeremonyError(
            "RF-LOG-023" if other_epoch else "RF-LOG-022",
            "the operator signs in another epoch than this board"
            if other_epoch
            else "the operator holds entries that this board has lost",
            expected=f"epoch {self._epoch} and at most {self._log.size} entries",
            found=f"epoch {request.epoch} and {request.held} entries",
            effect="they do not go on together",
            next_step="move the log to a host that extends the highest certificate",
            operator=member,
            runbook="forked-log",
        )


def routes(board: Board) -> list[web.RouteDef]:
    """Return the handlers of a board, for an application that authenticates its callers."""

    async def submit(request: web.Request) -> web.Response:
        envelope = await _body(request, board.plan.limits.entry_bytes)
        try:
            answer = SubmitAnswer(await board.submit(envelope))
        except CeremonyError as error:
            answer = SubmitAnswer(None, Refusal.of(error))
        return web.Response(body=strict.encode(answer))

    async def sync(request: web.Request) -> web.Response:
        try:
            message = read_message(SyncRequest, await _body(request, REQUEST_BYTES))
            reply = SyncReply(await board.sync(request[CALLER], message))
        except CeremonyError as error:
            reply = SyncReply(None, Refusal.of(error))
        return web.Response(body=strict.encode(reply))

    return [web.post(ENTRIES_PATH, submit), web.post(SYNC_PATH, sync)]


async def _body(request: web.Request, limit: int) -> bytes:
    """Read a request, not far beyond `limit` bytes; one that is longer is refused as what it is."""
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > limit:
            break
    return bytes(body)
