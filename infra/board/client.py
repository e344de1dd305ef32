"""An operator's side of the board: post entries, follow the log, sign what it covers.

The operator always calls, the host never does. A checkpoint takes two round trips: one brings the
signature of its head and waits for the certificate, the other brings the signature of the
certificate and waits until it counts, which answer proposes the next head already.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeGuard

import structlog

from infra.board import strict
from infra.board.messages import (
    ANSWER_BYTES,
    SubmitAnswer,
    SyncAnswer,
    SyncReply,
    SyncRequest,
    Vote,
    read_message,
)
from infra.board.moves import verify_opening
from infra.board.service import ENTRIES_PATH, SYNC_PATH
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.board.moves import Opening
    from infra.board.notes import Checkpoint
    from infra.board.replica import Replica
    from infra.board.service import Board
    from infra.board.witness import Witness

__all__ = ["BoardTransport", "Calls", "HttpTransport", "LocalTransport", "WitnessLoop"]

MESSAGE_BYTES = 65536
"""Room for heads, signatures and refusals beside the entries of an answer."""

_DISK = frozenset({"RF-DISK-001", "RF-DISK-002"})
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0

_log = structlog.get_logger()


class BoardTransport(Protocol):
    """The way to the board's host."""

    async def submit(self, envelope: bytes) -> int:
        """Hand over an entry; return its position.

        Raises:
            CeremonyError: the host's refusal, or RF-PEER-* when it is away.
        """
        ...

    async def sync(self, request: SyncRequest) -> SyncAnswer:
        """Exchange signatures for what is new. Raises as `submit`."""
        ...


class Calls(Protocol):
    """One member that can be called, as `infra.transport.client.Peer`."""

    async def arequest(
        self, method: str, path: str, body: bytes | None = None, *, limit: int
    ) -> bytes:
        """Send an idempotent request and return the answer."""
        ...


class HttpTransport:
    """The way over pinned mutual TLS."""

    def __init__(self, host: Calls, entry_bytes: int) -> None:
        """Call the host.

        Args:
            host: the coordinator, as a peer.
            entry_bytes: most bytes of an entry (plan.limits).
        """
        self._host = host
        self._limit = ANSWER_BYTES + entry_bytes + MESSAGE_BYTES

    async def submit(self, envelope: bytes) -> int:
        """Hand over an entry; return its position."""
        data = await self._host.arequest("POST", ENTRIES_PATH, envelope, limit=MESSAGE_BYTES)
        answer = read_message(SubmitAnswer, data)
        if answer.position is None:
            raise _refusal(answer)
        return answer.position

    async def sync(self, request: SyncRequest) -> SyncAnswer:
        """Exchange signatures for what is new."""
        body = strict.encode(request)
        reply = read_message(
            SyncReply, await self._host.arequest("POST", SYNC_PATH, body, limit=self._limit)
        )
        if reply.answer is None:
            raise _refusal(reply)
        return reply.answer


class LocalTransport:
    """The way within one process, through the same messages."""

    def __init__(self, board: Board, member: str) -> None:
        self._board = board
        self._member = member

    async def submit(self, envelope: bytes) -> int:
        """Hand over an entry; return its position."""
        return await self._board.submit(envelope)

    async def sync(self, request: SyncRequest) -> SyncAnswer:
        """Exchange signatures for what is new."""
        message = read_message(SyncRequest, strict.encode(request))
        answer = await self._board.sync(self._member, message)
        return read_message(SyncAnswer, strict.encode(answer))


class WitnessLoop:
    """Follows the board and signs, until it is cancelled. Without a witness it only follows."""

    def __init__(
        self,
        replica: Replica,
        transport: BoardTransport,
        witness: Witness | None = None,
        report: Callable[[CeremonyError], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to follow.

        Args:
            replica: takes the entries; verifies everything.
            transport: the way to the host.
            witness: signs; None for an observer.
            report: told of every refusal and lost connection, after it was logged.
            clock: seconds, with which exchanges are paced.
        """
        self._replica = replica
        self._transport = transport
        self._witness = witness
        self._report = report
        self._clock = clock
        self.trouble: CeremonyError | None = None
        self.opening: Opening | None = None
        self._waiting: asyncio.Task[SyncAnswer] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._anew = asyncio.Event()
        self._pause = _FIRST_PAUSE
        self._furthest = self._standing()
        self.contradicted: Callable[[Checkpoint], None] = lambda _: None
        self.entered: Callable[[Opening, tuple[bytes, ...]], None] = lambda _, __: None

    async def run(self) -> None:
        """Follow the board for ever; what the host does wrong is reported and tried again.

        A host answers at once whom it has something to offer. So who cannot use what it is offered,
        or is offered nothing by a host that lies, asks again only after a pause, which grows.
        """
        self._loop = asyncio.get_running_loop()
        request = self._request()
        while True:
            if self._anew.is_set():
                self._anew.clear()
                request = self._request()
            began = self._clock()
            try:
                answer = await self._exchange(request)
                if answer is None:
                    continue
                request = await asyncio.to_thread(self.digest, answer)
            except CeremonyError as error:
                self._note(error)
                await self._rest(self._pause)
                request = self._request()
            else:
                self.trouble = None
                await self._keep_pace(began)

    async def _keep_pace(self, began: float) -> None:
        """Return at once after an exchange that brought this copy further, else after a pause."""
        standing = self._standing()
        if standing > self._furthest:
            self._furthest, self._pause = standing, _FIRST_PAUSE
        elif (left := began + self._pause - self._clock()) > 0:
            await self._rest(left)

    async def _rest(self, seconds: float) -> None:
        """Wait, but for `ask_again`, and longer the next time."""
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._anew.wait()

    def _standing(self) -> tuple[int, ...]:
        """Return how far this copy is; where nobody lies it only grows."""
        replica, witness = self._replica, self._signing
        signed = certified = None
        if witness is not None:
            signed, certified = witness.state.signed, witness.state.certified
        return (
            self.epoch,
            replica.covered_size,
            replica.held,
            signed.size if signed is not None else 0,
            *((certified.head.epoch, certified.head.size) if certified is not None else (0, 0)),
        )

    async def _exchange(self, request: SyncRequest) -> SyncAnswer | None:
        """Ask the host; None if `ask_again` broke the wait off."""
        self._waiting = asyncio.ensure_future(self._transport.sync(request))
        try:
            await asyncio.wait([self._waiting])
            return None if self._waiting.cancelled() else self._waiting.result()
        finally:
            self._waiting.cancel()

    def ask_again(self) -> None:
        """Give up waiting for an answer: the host is another one now. From any thread."""

        def give_up() -> None:
            self._anew.set()
            if self._waiting is not None:
                self._waiting.cancel()

        if self._loop is not None:
            self._loop.call_soon_threadsafe(give_up)

    def digest(self, answer: SyncAnswer) -> SyncRequest:
        """Verify and take an answer, sign what may be signed, and return the next request.

        Raises:
            CeremonyError: RF-LOG-*, the reason why something was refused.
        """
        replica, witness = self._replica, self._signing
        if answer.opening is not None:
            self.enter(answer.opening)
            return self._request()
        replica.receive(answer.first, answer.entries)
        for checkpoint in (answer.certified, answer.counted):
            if checkpoint is not None and replica.contradicts(checkpoint.head):
                self.contradicted(checkpoint)
        # Entries may take several answers. An answer without any promises no more: what it asks
        # for is judged, and refused if entries are missing.
        within = replica.held if answer.entries else None
        if _concerns(answer.counted, within):
            replica.cover(answer.counted)
        head = certificate = None
        if witness is not None and _concerns(answer.certified, within):
            part = witness.sign_certificate(answer.certified)
            certificate = Vote(answer.certified.head.size, part.signature)
        proposal = answer.proposal
        if witness is not None and proposal and (within is None or proposal.size <= within):
            head = Vote(proposal.size, witness.sign_head(proposal).signature)
        return self._request(head, certificate)

    def enter(self, opening: Opening) -> None:
        """Enter an epoch that n-t operators opened; what falls off the log is handed on.

        Raises:
            CeremonyError: as `Witness.open`.
        """
        if (witness := self._signing) is not None:
            dropped = witness.open(opening)
        elif opening.epoch > self._observed_epoch:
            verify_opening(self._replica.plan, opening)
            dropped = self._replica.rebase(opening)
            if self._witness is not None:
                self._witness.follow(opening)
        else:
            return
        self.opening = opening
        self.entered(opening, dropped)

    @property
    def epoch(self) -> int:
        """The newest epoch that is open here."""
        witness = self._signing
        return witness.epoch if witness is not None else self._observed_epoch

    @property
    def _observed_epoch(self) -> int:
        return self.opening.epoch if self.opening is not None else 0

    @property
    def _signing(self) -> Witness | None:
        """The witness, if it may sign: else this operator only follows."""
        witness = self._witness
        return None if witness is None or not witness.may_sign else witness

    def _request(self, head: Vote | None = None, certificate: Vote | None = None) -> SyncRequest:
        replica = self._replica
        return SyncRequest(self.epoch, replica.held, replica.covered_size, head, certificate)

    def check_disk(self) -> None:
        """Raise what keeps this copy of the log from growing: who waits for it waits in vain.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002.
        """
        if self.trouble is not None and self.trouble.code in _DISK:
            raise self.trouble

    def _note(self, error: CeremonyError) -> None:
        if self.trouble is None or self.trouble.code != error.code:
            _log.warning("board", **{key: text for key, text in error.as_dict().items() if text})
        self.trouble = error
        if self._report is not None:
            self._report(error)


def _concerns(checkpoint: Checkpoint | None, within: int | None) -> TypeGuard[Checkpoint]:
    return checkpoint is not None and (within is None or checkpoint.head.size <= within)


def _refusal(answer: SubmitAnswer | SyncReply) -> CeremonyError:
    """Return the error that the host named; it may have named none."""
    if answer.refusal is None:
        return CeremonyError("RF-LOG-041", "the board answered neither with a result nor a reason")
    return answer.refusal.error()
