"""Gossip: entries go to every operator, and nobody stays behind whom the host leaves in the dark.

One task for each other operator sends it, in batches over a connection that stays open, what this
operator posts; the answer says how far the other one's log is. A peer that hangs loses what does
not fit into its queue; nothing that posts ever waits for it. When peers are ahead for a while,
the host is not telling: the entries and the checkpoint are fetched from them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from infra.board import strict
from infra.board.client import MESSAGE_BYTES
from infra.board.messages import (
    ANSWER_BYTES,
    Gossip,
    GossipAnswer,
    LogPage,
    LogRequest,
    read_message,
)
from infra.board.notes import HeadSignature, head_text, signature_is_valid
from infra.party.neighbour import READ_PATH
from infra.transport.bodies import read_body
from infra.transport.outbox import CALLER
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    import concurrent.futures

    from infra.board.client import WitnessLoop
    from infra.board.equivocation import HeadWatch
    from infra.board.notes import Head
    from infra.board.witness import Witness
    from infra.party.gossip_pool import EntryPool
    from infra.party.log import PartyLog
    from infra.transport.client import Peer, PeerClient

__all__ = ["GOSSIP_PATH", "Gossiper"]

GOSSIP_PATH = "/gossip"

BATCH_BYTES = 1 << 20
QUEUE_BYTES = 8 << 20
GATHER_SECONDS = 0.02
IDLE_SECONDS = 5.0
CALL_SECONDS = 15.0
LAG_SECONDS = 3.0
MOST_CATCH_UP_BYTES = 1 << 28
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_ANSWER_BYTES = 1024
_log = structlog.get_logger()


@dataclass(slots=True)
class _Line:
    """What is to be sent to one operator."""

    queue: deque[bytes] = field(default_factory=deque)
    size: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    ahead_since: float | None = None

    def put(self, envelope: bytes) -> None:
        """Queue an entry; the oldest make room: the board has them too."""
        self.queue.append(envelope)
        self.size += len(envelope)
        while self.size > QUEUE_BYTES:
            self.size -= len(self.queue.popleft())
        self.wake.set()

    def batch(self) -> tuple[bytes, ...]:
        """Return what goes in one message; it stays queued until it was received."""
        found: list[bytes] = []
        room = BATCH_BYTES
        for envelope in self.queue:
            room -= len(envelope)
            if room < 0 and found:
                break
            found.append(envelope)
        return tuple(found)

    def sent(self, batch: tuple[bytes, ...]) -> None:
        """Forget what was received, unless it had to make room meanwhile."""
        for envelope in batch:
            if self.queue and self.queue[0] is envelope:
                self.size -= len(self.queue.popleft())


class Gossiper:
    """One operator's gossip."""

    def __init__(
        self,
        client: PeerClient,
        log: PartyLog,
        *,
        loop: WitnessLoop,
        witness: Witness,
        pool: EntryPool,
        watch: HeadWatch,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            client: the connections of this process.
            log: the operator's log, which knows where the others are.
            loop: follows the host.
            witness: says what this operator signed.
            pool: takes what others send.
            watch: looks at heads that others signed.
        """
        self._client = client
        self._party_log = log
        self._loop = loop
        self._witness = witness
        self._replica = witness.replica
        self._pool = pool
        self._watch = watch
        plan = self._replica.plan
        self._indices = {each.name: each.index for each in plan.operators}
        others = (each.index for each in plan.operators if each.index != witness.index)
        self._lines = {index: _Line() for index in others}
        self._warned: set[int] = set()
        self._running: list[concurrent.futures.Future[None]] = []

    def start(self) -> None:
        """Start to talk to everybody."""
        submit = self._client.loop.submit
        self._running = [submit(self._talk(index, line)) for index, line in self._lines.items()]
        self._running.append(submit(self._offer_again()))

    def stop(self) -> None:
        """Stop talking."""
        for each in self._running:
            each.cancel()

    def spread(self, envelope: bytes) -> None:
        """Send an entry to everybody; returns at once, from any thread."""
        self._pool.receive(self._witness.index, (envelope,))

        def put() -> None:
            for line in self._lines.values():
                line.put(envelope)

        self._client.loop.call(put)

    # -- what others send -------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        """Return the handler, for an application that authenticates its callers."""

        async def handle(request: web.Request) -> web.Response:
            limit = 2 * BATCH_BYTES + self._replica.plan.limits.entry_bytes
            message = read_message(Gossip, await read_body(request, limit))
            sender = self._indices.get(request[CALLER])
            if sender is not None and message.entries:
                await asyncio.to_thread(self._pool.receive, sender, message.entries)
            return web.Response(body=strict.encode(await asyncio.to_thread(self._status)))

        return [web.post(GOSSIP_PATH, handle)]

    def _status(self) -> GossipAnswer:
        signed = self._witness.last_head()
        epoch, covered = self._witness.epoch, self._replica.covered_size
        if signed is None:
            return GossipAnswer(epoch, covered)
        return GossipAnswer(epoch, covered, signed[0], signed[1].signature)

    # -- what this operator sends -----------------------------------------------------------------

    async def _talk(self, index: int, line: _Line) -> None:
        pause = _FIRST_PAUSE
        while True:
            await self._await_something(line)
            batch = line.batch()
            try:
                peer = await asyncio.to_thread(self._peer, index)
                if peer is None:
                    await asyncio.sleep(IDLE_SECONDS)
                    continue
                async with asyncio.timeout(CALL_SECONDS):
                    answer = await self._call(peer, batch)
                line.sent(batch)
                await self._heard(index, line, peer, answer)
            except (CeremonyError, TimeoutError) as error:
                _log.info("no gossip with an operator", operator=index, reason=str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                pause = _FIRST_PAUSE

    async def _await_something(self, line: _Line) -> None:
        if not line.queue:
            line.wake.clear()
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    await line.wake.wait()
            except TimeoutError:
                return  # an empty message asks how far the other one is
        await asyncio.sleep(GATHER_SECONDS)

    def _peer(self, index: int) -> Peer | None:
        address = self._party_log.read(lambda state: state.addresses.get(index))
        if address is None:
            return None
        name = self._replica.plan.name_of(index)
        return self._client.peer(name, address.host, address.port)

    async def _call(self, peer: Peer, batch: tuple[bytes, ...]) -> GossipAnswer:
        body = strict.encode(Gossip(batch))
        data = await peer.arequest("POST", GOSSIP_PATH, body, limit=_ANSWER_BYTES)
        return read_message(GossipAnswer, data)

    async def _offer_again(self) -> None:
        """Offer the host what the log has not shown for a while."""
        while True:
            await asyncio.sleep(1.0)
            await asyncio.to_thread(self._party_log.offer_again)

    # -- what the answers say ---------------------------------------------------------------------

    async def _heard(self, index: int, line: _Line, peer: Peer, answer: GossipAnswer) -> None:
        if answer.signed is not None:
            await asyncio.to_thread(self._look_at, index, answer)
        if not self._is_behind(answer):
            line.ahead_since = None
        elif line.ahead_since is None:
            line.ahead_since = time.monotonic()
        elif time.monotonic() - line.ahead_since >= LAG_SECONDS:
            line.ahead_since = None
            await self._fetch(peer)

    def _is_behind(self, answer: GossipAnswer) -> bool:
        here = (self._loop.epoch, self._replica.covered_size)
        return answer.epoch > here[0] or answer.covered > here[1]

    def _look_at(self, index: int, answer: GossipAnswer) -> None:
        assert answer.signed is not None
        head, part = answer.signed, HeadSignature(index, answer.signature)
        plan = self._replica.plan
        if not signature_is_valid(plan, head_text(plan.ceremony_id, head), part):
            return
        self._watch.saw(head, part)
        self._witness.hears(head, part)
        if head.epoch == self._loop.epoch and self._replica.contradicts(head):
            self._warn_of_two_logs(index, head)

    def _warn_of_two_logs(self, index: int, head: Head) -> None:
        """Say once an epoch that the host shows two logs, or that this operator says so."""
        if head.epoch in self._warned:
            return
        self._warned.add(head.epoch)
        warning = CeremonyError(
            "RF-LOG-035",
            "another operator signed a head of another log than the host shows here",
            expected=f"root {self._replica.root(head.size).hex()} over {head.size} entries",
            found=f"root {head.root.hex()}",
            effect="none, unless no head gets n-t signatures any more",
            next_step="if the log no longer grows, move it to another host",
            operator=self._replica.plan.name_of(index),
            runbook="forked-log",
        )
        _log.error("board", **{key: text for key, text in warning.as_dict().items() if text})

    async def _fetch(self, peer: Peer) -> None:
        """Fetch what a peer's log has beyond this one, and take it if n-t operators signed it."""
        first = self._replica.covered_size
        found: list[bytes] = []
        total = 0
        while True:
            page = await self._page(peer, first + len(found))
            if page.opening is not None and page.opening.epoch > self._loop.epoch:
                await asyncio.to_thread(self._loop.enter, page.opening)
                self._loop.ask_again()
                return
            total += sum(map(len, page.entries))
            found += page.entries
            goal = page.counted.head.size if page.counted is not None else 0
            if page.counted is None or goal <= first or total > MOST_CATCH_UP_BYTES:
                return
            if first + len(found) >= goal:
                entries = found[: goal - first]
                await asyncio.to_thread(self._take, first, entries, page)
                return
            if not page.entries:
                return

    def _take(self, first: int, entries: list[bytes], page: LogPage) -> None:
        assert page.counted is not None
        if self._replica.covered_size == first:
            self._replica.catch_up(entries, page.counted)
            _log.warning("the host was silent; the log came from a peer", entries=len(entries))

    async def _page(self, peer: Peer, first: int) -> LogPage:
        limit = ANSWER_BYTES + self._replica.plan.limits.entry_bytes + MESSAGE_BYTES
        body = strict.encode(LogRequest(first))
        async with asyncio.timeout(self._client.patience.seconds_for(limit)):
            data = await peer.arequest("POST", READ_PATH, body, limit=limit)
        page = read_message(LogPage, data)
        return page if page.first == first else LogPage(first, (), None, None)
