"""Who hosts the board now and where: what an operator was told at its start, and what it signed.

An operator may be started with an address that is out of date, and a host may come back at another
one. So all addresses that it knows of are tried in turn; which party must answer there is pinned by
the keys of the plan, whatever the address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from infra.board.client import HttpTransport
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import COORDINATOR

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from infra.board.messages import SyncAnswer, SyncRequest
    from infra.board.moves import MoveRequest
    from infra.transport.client import Peer, PeerClient

__all__ = ["HostLine", "address_of"]

_T = TypeVar("_T")


class HostLine:
    """The way to whoever hosts the board; a `BoardTransport`."""

    def __init__(
        self,
        client: PeerClient,
        entry_bytes: int,
        told: tuple[str, int] | None,
        moved: Callable[[], MoveRequest | None],
        hosts: Collection[str] = (),
    ) -> None:
        """Prepare to call the host.

        Args:
            client: the connections of this process.
            entry_bytes: most bytes of an entry (plan.limits).
            told: the address that the operator was started with, if any.
            moved: returns the request of the last move that this operator knows of.
            hosts: the parties that may host the board. Who lost its state, or was down during a
                move, does not know whom to expect where its people say that the log is.
        """
        self._client = client
        self._entry_bytes = entry_bytes
        self._told = told
        self._moved = moved
        self._hosts = tuple(hosts)
        self._last = moved()
        self._moved_since = False
        self._turn = 0

    @property
    def name(self) -> str:
        """The party that hosts the board."""
        moved = self._moved()
        return moved.host if moved is not None else COORDINATOR

    def peer(self) -> Peer:
        """Return the host at the address whose turn it is.

        Raises:
            CeremonyError: RF-PEER-018 if no address is known.
        """
        known = self._places()
        if not known:
            raise CeremonyError(
                "RF-PEER-018",
                "nobody has said where the log is",
                expected="an address from --board, or from a host that takes over",
                found="neither",
                effect="this operator waits",
                next_step="start it with --board, or let the coordinator take over",
                runbook="coordinator-lost",
            )
        return self._client.peer(*known[self._turn % len(known)])

    def _places(self) -> list[tuple[str, str, int]]:
        """Return whom to try where: that of a move since the start, what was told, the rest."""
        moved = self._moved()
        if moved != self._last:
            self._last, self._moved_since, self._turn = moved, True, 0
        named = [(moved.host, moved.address, moved.port)] if moved is not None else []
        names = dict.fromkeys((self.name, *self._hosts)) if self._told is not None else ()
        told = [(name, *self._told) for name in names if self._told is not None]
        places = (*named, *told) if self._moved_since else (*told[:1], *named, *told[1:])
        return list(dict.fromkeys(places))

    async def submit(self, envelope: bytes) -> int:
        """Hand over an entry; return its position."""
        peer = self.peer()
        return await self._call(HttpTransport(peer, self._entry_bytes).submit(envelope))

    async def sync(self, request: SyncRequest) -> SyncAnswer:
        """Exchange signatures for what is new."""
        peer = self.peer()
        return await self._call(HttpTransport(peer, self._entry_bytes).sync(request))

    async def _call(self, work: Coroutine[None, None, _T]) -> _T:
        """Await a call; the next one goes to the next address if nobody is at this one."""
        turn = self._turn
        try:
            return await work
        except CeremonyError as error:
            if error.code.startswith("RF-PEER-") and turn == self._turn:
                self._turn += 1
            raise


def address_of(text: str) -> tuple[str, int]:
    """Return host and port of the log, as people give them.

    Raises:
        CeremonyError: RF-RUN-010 if they are none.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise CeremonyError(
            "RF-RUN-010",
            "the address of the log cannot be read",
            expected="HOST:PORT",
            found=repr(text[:80]),
            effect="nothing was started",
            next_step="pass the coordinator's address with --board",
            runbook="an-operator-is-down",
        )
    return host, int(port)
