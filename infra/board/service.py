"""The board's host on the network: `infra.board.host`, with its waits and its routes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import web

from infra.board import strict, wire
from infra.board.host import Host
from infra.board.messages import (
    REQUEST_BYTES,
    Refusal,
    SubmitAnswer,
    SyncReply,
    SyncRequest,
    read_message,
)
from infra.transport.bodies import read_body
from infra.transport.outbox import CALLER
from mpc_core.protocol.entries import Seal
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from infra.board.host import News
    from infra.board.log import BoardLog
    from infra.board.messages import SyncAnswer
    from infra.board.notes import Checkpoint
    from mpc_core.protocol.plan import Plan

__all__ = ["ENTRIES_PATH", "SYNC_PATH", "Board", "routes"]

ENTRIES_PATH = "/board/entries"
SYNC_PATH = "/board/sync"

POLL_SECONDS = 20.0
"""How long a sync waits for something new."""

HOLD_SECONDS = 5.0
"""How long a seal that is drawn up may keep other entries waiting."""

GATHER_SECONDS = 0.03
"""How long the first entry after a pause waits for others, so that one checkpoint covers them."""


class Board:
    """A host on the network: answers members as soon as there is something new for them.

    Lives on one event loop.
    """

    def __init__(
        self,
        log: BoardLog,
        plan: Plan,
        *,
        poll_seconds: float = POLL_SECONDS,
        gather_seconds: float = GATHER_SECONDS,
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        self.plan = plan
        self.host = Host(log, plan)
        self._log = log
        self._poll_seconds = poll_seconds
        self._gather_seconds = gather_seconds
        self._gathering = False
        self._changed = asyncio.Condition()
        self._writing = asyncio.Lock()
        self._passing = asyncio.Event()
        self._passing.set()
        self._release: asyncio.TimerHandle | None = None
        self._hold_seconds = hold_seconds
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint that counts."""
        return self.host.counted

    async def submit(self, envelope: bytes) -> int:
        """Take an entry, whoever brings it, and return its position.

        Raises:
            CeremonyError: as `BoardLog.append`.
        """
        task = asyncio.create_task(self._append(envelope))
        self._keep(task)
        return await asyncio.shield(task)  # an append is told to all, also if its caller left

    async def hold(self) -> int:
        """Hold back every entry but a seal, until one comes or time is over.

        A seal names the entry that it directly follows. Without this, an operator that posts
        message after message could put it off for ever.

        Returns:
            The size of the log, at which it stands meanwhile.
        """
        async with self._writing:
            self.release()
            self._passing.clear()
            loop = asyncio.get_running_loop()
            self._release = loop.call_later(self._hold_seconds, self._passing.set)
            return self._log.size

    def release(self) -> None:
        """Let entries pass again."""
        if self._release is not None:
            self._release.cancel()
        self._passing.set()

    async def sync(self, member: str, request: SyncRequest) -> SyncAnswer:
        """Take a member's signatures and answer as soon as there is something new for it.

        Raises:
            CeremonyError: as `Host.take`.
        """
        self.host.take(member, request)
        await self._settle()
        news = await self._news(member, request)
        return await asyncio.to_thread(self.host.answer, request, news)

    async def _append(self, envelope: bytes) -> int:
        position = None
        while position is None:
            position = await self._append_if_passing(envelope)
        if not self.host.is_gathering and not self._gathering:
            self._gathering = True
            self._keep(asyncio.create_task(self._propose_soon()))
        return position

    async def _append_if_passing(self, envelope: bytes) -> int | None:
        """Append an entry unless it is held back; None when it is to be tried again."""
        is_seal = wire.kind_of(envelope) == Seal.kind
        if not is_seal:
            await self._passing.wait()
        async with self._writing:
            if not is_seal and not self._passing.is_set():
                return None
            position = await asyncio.to_thread(self._log.append, envelope)
        if is_seal:
            self.release()
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

    async def _settle(self) -> None:
        """Keep a checkpoint that now counts, propose the next head, and tell everybody."""
        async with self._writing:
            counted = self.host.counts_now()
            if counted is not None:
                await asyncio.to_thread(self._log.record, counted)
                self.host.recorded(counted)
            self.host.propose()
        async with self._changed:
            self._changed.notify_all()

    async def _news(self, member: str, request: SyncRequest) -> News:
        async with self._changed:
            with suppress(TimeoutError):  # the caller asks again; so it learns that we are alive
                async with asyncio.timeout(self._poll_seconds):
                    await self._changed.wait_for(lambda: self.host.news(member, request))
        return self.host.news(member, request)


def routes(board: Board) -> list[web.RouteDef]:
    """Return the handlers of a board, for an application that authenticates its callers."""

    async def submit(request: web.Request) -> web.Response:
        envelope = await read_body(request, board.plan.limits.entry_bytes)
        try:
            answer = SubmitAnswer(await board.submit(envelope))
        except CeremonyError as error:
            answer = SubmitAnswer(None, Refusal.of(error))
        return web.Response(body=strict.encode(answer))

    async def sync(request: web.Request) -> web.Response:
        try:
            message = read_message(SyncRequest, await read_body(request, REQUEST_BYTES))
            reply = SyncReply(await board.sync(request[CALLER], message))
        except CeremonyError as error:
            reply = SyncReply(None, Refusal.of(error))
        return web.Response(body=strict.encode(reply))

    return [web.post(ENTRIES_PATH, submit), web.post(SYNC_PATH, sync)]
