"""What an operator does for the others about the log: serve it, and let the board move.

Whoever signed a head serves the entries below it, so that a new host, or an operator that the host
leaves in the dark, can get them. An operator answers a move request if the coordinator or a deputy
of the plan signed it, and if the host that it has does not work: a party that wants to host may not
push out one under which the log grows.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from infra.board import strict
from infra.board.messages import (
    ANSWER_BYTES,
    LogPage,
    LogRequest,
    MoveReply,
    Refusal,
    read_message,
)
from infra.board.moves import SignedRequest, check_request
from infra.transport.bodies import read_body
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.board.client import WitnessLoop
    from infra.board.witness import Witness
    from infra.party.host import HostLine
    from infra.party.log import PartyLog

__all__ = ["MOVE_PATH", "READ_PATH", "Neighbour"]

MOVE_PATH = "/board/move"
READ_PATH = "/board/read"

_log = structlog.get_logger()
_ENTRIES_PER_PAGE = 1000
_REQUEST_BYTES = 4096


@dataclass
class Neighbour:
    """One operator's side of moves, and of reading its copy of the log.

    Attributes:
        witness: signs move statements.
        loop: follows the host.
        line: the way to the host.
        log: the operator's log.
        clock: its own clock, in seconds.
    """

    witness: Witness
    loop: WitnessLoop
    line: HostLine
    log: PartyLog
    clock: Callable[[], float]
    _moving: threading.Lock = field(default_factory=threading.Lock)
    _moved_at: float = float("-inf")

    def routes(self) -> list[web.RouteDef]:
        """Return the handlers, for an application that authenticates its callers."""
        return [web.post(MOVE_PATH, self._handle_move), web.post(READ_PATH, self._handle_read)]

    def move(self, signed: SignedRequest) -> MoveReply:
        """Answer a move request."""
        with self._moving:
            try:
                check_request(self.witness.replica.plan, signed)
                self._require_a_reason(signed.request.host)
                statement = self.witness.move(signed)
            except CeremonyError as error:
                return MoveReply(self.witness.state.epoch, None, Refusal.of(error))
            self._moved_at = self.clock()
        _log.warning("the log moves", host=signed.request.host, epoch=signed.request.epoch)
        self.loop.ask_again()
        return MoveReply(self.witness.state.epoch, statement)

    def page(self, request: LogRequest) -> LogPage:
        """Return entries held here, from a position on."""
        replica = self.witness.replica
        entries: list[bytes] = []
        room = ANSWER_BYTES
        for data in replica.envelopes(request.first, _ENTRIES_PER_PAGE):
            room -= len(data)
            if room < 0 and entries:
                break
            entries.append(data)
        return LogPage(request.first, tuple(entries), replica.checkpoint, self.loop.opening)

    def _require_a_reason(self, host: str) -> None:
        """Let only a host that works no more be replaced by another party.

        Security: without this a deputy that lies could take the board over again and again. With it
            each host has the time of a step to bring a checkpoint, and stays while it does.
        """
        step = self.log.plan.deadlines.step_seconds
        since = min(self.log.seconds_since_progress(), self.clock() - self._moved_at)
        if host != self.line.name and since < step:
            raise CeremonyError(
                "RF-LOG-029",
                "another party wants to host the log, which grows where it is",
                expected=f"no checkpoint for {step:g} s",
                found=f"one {since:.1f} s ago",
                effect="this operator stays with the host that it has",
                next_step="stop that host first, or wait",
                runbook="coordinator-lost",
            )

    async def _handle_move(self, request: web.Request) -> web.Response:
        signed = read_message(SignedRequest, await read_body(request, _REQUEST_BYTES))
        return web.Response(body=strict.encode(await asyncio.to_thread(self.move, signed)))

    async def _handle_read(self, request: web.Request) -> web.Response:
        wanted = read_message(LogRequest, await read_body(request, _REQUEST_BYTES))
        return web.Response(body=strict.encode(await asyncio.to_thread(self.page, wanted)))
