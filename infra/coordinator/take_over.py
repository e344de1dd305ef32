"""Taking the board over: move statements of n-t operators, and the log that they name.

A coordinator whose database is gone, or a deputy, asks the operators to move the log to it
(`infra.board.moves`), gathers the entries below the highest certificate that they name, and opens
the next epoch with them. It needs one operator's address to begin with: the log tells the others.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeGuard

import structlog

from infra.board import strict
from infra.board.client import MESSAGE_BYTES
from infra.board.copy import MemoryCopy
from infra.board.log import BoardLog
from infra.board.messages import ANSWER_BYTES, LogPage, LogRequest, MoveReply, read_message
from infra.board.moves import MoveRequest, Opening, check_statement, sign_request
from infra.board.replica import Replica
from infra.coordinator.progress import say
from infra.party.attesting import host_attestation
from infra.party.freshness import PLACES_PATH, Places
from infra.party.neighbour import MOVE_PATH, READ_PATH
from infra.plan import load_identity, load_signed_plan
from infra.transport.client import PeerClient
from infra.transport.tls import Identity, Members
from mpc_core.protocol.entries import Address
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import COORDINATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.board.moves import MoveStatement
    from infra.homes import Home
    from infra.network.places import Reach
    from infra.transport.client import Peer
    from mpc_core.protocol.entries import LogEntry
    from mpc_core.protocol.plan import Plan

__all__ = ["TakeOver", "seat_of", "take_over"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_ASK_SECONDS = 10.0
_FURTHEST_CLAIM = 1000
"""How far an operator that says it is ahead is followed at once: it may lie."""
_log = structlog.get_logger()


def seat_of(home: Home, plan: Plan) -> tuple[str, Ed25519PrivateKey]:
    """Return as whom a home hosts the board: as the deputy of its name, else as the coordinator.

    Raises:
        CeremonyError: RF-PLAN-010 if it holds another key than the plan names.
    """
    name = home.name if home.name in plan.hosts else COORDINATOR
    return name, load_identity(home.vault, plan.hosts[name], name)


async def take_over(home: Home, reach: Reach, operators: Mapping[str, tuple[str, int]]) -> Reach:
    """Have the log moved to this home; return at which port operators will look for it.

    Args:
        home: of the coordinator or of a deputy.
        reach: how operators reach it.
        operators: addresses of operators, by name, as far as they are known.

    Raises:
        CeremonyError: when plan, key or database cannot be used.
    """
    plan = load_signed_plan(home.path).plan
    name, key = seat_of(home, plan)
    reach = replace(reach, port=reach.port or _free_port(reach.listen))
    members = Members.of_plan(plan)
    identity = Identity(name, key, members, attestation=host_attestation(plan))
    with (
        PeerClient(identity) as client,
        closing(BoardLog.open(home.board, plan)) as board_log,
    ):
        here = (reach.listen, reach.port)
        await TakeOver(plan, name, key, client, board_log, here, operators).run()
    return reach


def _free_port(address: str) -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@dataclass
class TakeOver:
    """One party's way to become the host.

    Attributes:
        plan: the signed plan.
        name: the party's name in the plan.
        key: its identity key.
        client: its connections.
        board_log: its database; empty, or of an older epoch.
        here: where it will serve the board.
        operators: addresses of operators, by name, as far as they are known beforehand.
    """

    plan: Plan
    name: str
    key: Ed25519PrivateKey
    client: PeerClient
    board_log: BoardLog
    here: tuple[str, int]
    operators: Mapping[str, tuple[str, int]]
    _serials: dict[str, int] = field(default_factory=dict)
    _addresses: dict[str, tuple[str, int]] = field(default_factory=dict)

    async def run(self) -> Opening:
        """Return when n-t operators have moved and the database holds the log of the new epoch.

        Raises:
            CeremonyError: RF-LOG-010 or -011 if the database does not take it.
        """
        self._learn_own()
        opening, pause = await self._attempt(self._next_epoch()), _FIRST_PAUSE
        entries = await self._entries_below(opening)
        while entries is None:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            entries = await self._entries_below(opening)
        above = await asyncio.to_thread(self.board_log.begin, opening, entries)
        for data in above:
            await asyncio.to_thread(self._append_again, data)
        return opening

    # -- statements -------------------------------------------------------------------------------

    def _next_epoch(self) -> int:
        opened = self.board_log.opening()
        return 1 + (opened.epoch if opened is not None else 0)

    async def _attempt(self, epoch: int) -> Opening:
        """Gather n-t statements for this epoch, or for a later one if operators are ahead."""
        statements: dict[int, MoveStatement] = {}
        pause = _FIRST_PAUSE
        while True:
            request = sign_request(self.plan, MoveRequest(epoch, self.name, *self.here), self.key)
            missing = [each for each in self.plan.operators if each.index not in statements]
            body = strict.encode(request)
            if self.plan.attestation is not None:
                await asyncio.gather(*(self._tell(each.name) for each in missing))
            replies = await asyncio.gather(*(self._ask(each.name, body) for each in missing))
            ahead = epoch
            for operator, reply in zip(missing, replies, strict=True):
                if reply is None:
                    continue
                statement = reply.statement
                if self._is_good(statement, request.request, operator.index):
                    statements[operator.index] = statement
                elif reply.epoch >= epoch:
                    ahead = max(ahead, min(reply.epoch + 1, epoch + _FURTHEST_CLAIM))
            if len(statements) >= self.plan.quorum:
                return Opening(request, tuple(statements[each] for each in sorted(statements)))
            if ahead > epoch:
                epoch, statements = ahead, {}
                continue
            names = [each.name for each in self.plan.operators if each.index not in statements]
            say("progress", stage="take-over", waiting_for=names, note=f"epoch {epoch}")
            await self._learn_from_operators()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _tell(self, name: str) -> None:
        """Tell an operator where the others are: who starts in an enclave asks them first."""
        known = {**self._addresses, **self.operators}
        body = strict.encode(Places(tuple((each, *place) for each, place in known.items())))
        for peer in self._peers(name):
            try:
                async with asyncio.timeout(_ASK_SECONDS):
                    await peer.arequest("POST", PLACES_PATH, body, limit=MESSAGE_BYTES)
            except (CeremonyError, TimeoutError) as error:
                _log.info("nobody takes addresses there", operator=name, reason=str(error))

    async def _ask(self, name: str, body: bytes) -> MoveReply | None:
        """Ask an operator to move; None if it cannot be reached at any address."""
        for peer in self._peers(name):
            try:
                async with asyncio.timeout(_ASK_SECONDS):
                    data = await peer.arequest("POST", MOVE_PATH, body, limit=MESSAGE_BYTES)
                reply = read_message(MoveReply, data)
            except (CeremonyError, TimeoutError) as error:
                _log.info("no answer to a move request", operator=name, reason=str(error))
                continue
            if reply.refusal is not None:
                _log.warning("move refused", operator=name, reason=str(reply.refusal.error()))
            return reply
        return None

    def _is_good(
        self, statement: MoveStatement | None, request: MoveRequest, index: int
    ) -> TypeGuard[MoveStatement]:
        if statement is None or statement.signer != index:
            return False
        try:
            check_statement(self.plan, request, statement)
        except CeremonyError as error:
            _log.warning("a statement is not one", operator=index, reason=str(error))
            return False
        return True

    # -- the log ----------------------------------------------------------------------------------

    async def _entries_below(self, opening: Opening) -> list[bytes] | None:
        """Return the entries below the base, from the own database or from an operator."""
        base = opening.base
        if base is None:
            return []
        size, root = base.head.size, base.head.root
        log = self.board_log
        if log.size >= size and log.root(size) == root:
            return log.entries(0, size)
        for operator in self.plan.operators:
            copy = await self._copy_of(operator.name, size)
            if copy is not None and copy.held >= size and copy.root(size) == root:
                return list(copy.envelopes(0, size))
        say("progress", stage="take-over", note="no operator answers with the log yet")
        return None

    async def _copy_of(self, name: str, size: int | None = None) -> Replica | None:
        """Return what an operator holds of the log, verified; None if it cannot be reached."""
        for peer in self._peers(name):
            replica = Replica(self.plan, MemoryCopy())
            try:
                async with asyncio.timeout(self.client.patience.seconds_for(1 << 28)):
                    while size is None or replica.held < size:
                        page = await self._page(peer, replica.held)
                        if not page.entries:
                            break
                        await asyncio.to_thread(replica.receive, page.first, page.entries)
            except (CeremonyError, TimeoutError) as error:
                _log.info("no log from an operator", operator=name, reason=str(error))
                continue
            self._learn(replica.held_entries())
            return replica
        return None

    async def _page(self, peer: Peer, first: int) -> LogPage:
        limit = ANSWER_BYTES + self.plan.limits.entry_bytes + MESSAGE_BYTES
        body = strict.encode(LogRequest(first))
        data = await peer.arequest("POST", READ_PATH, body, limit=limit)
        page = read_message(LogPage, data)
        return page if page.first == first else LogPage(first, (), None, None)

    def _append_again(self, data: bytes) -> None:
        """Take an entry that the old log held above the base; another may have its place."""
        try:
            self.board_log.append(data)
        except CeremonyError as error:
            if error.code in ("RF-LOG-010", "RF-LOG-011"):
                raise
            _log.info("an entry of the old log is none of the new one", reason=str(error))

    # -- where operators are ----------------------------------------------------------------------

    def _peers(self, name: str) -> list[Peer]:
        """Return an operator at the addresses at which it may be, the likeliest first."""
        places = [self.operators.get(name), self._addresses.get(name)]
        known = dict.fromkeys(place for place in places if place is not None)
        return [self.client.peer(name, *place) for place in known]

    def _learn_own(self) -> None:
        own = Replica(self.plan, MemoryCopy())
        own.receive(0, self.board_log.entries(0, self.board_log.size))
        self._learn(own.held_entries())

    async def _learn_from_operators(self) -> None:
        """Ask whoever can be reached where the others are."""
        for operator in self.plan.operators:
            if await self._copy_of(operator.name) is not None:
                return

    def _learn(self, entries: Iterable[LogEntry]) -> None:
        for log in entries:
            if isinstance(log.entry, Address):
                name = self.plan.name_of(log.author)
                if log.entry.serial >= self._serials.get(name, 0):
                    self._serials[name] = log.entry.serial
                    self._addresses[name] = (log.entry.host, log.entry.port)
