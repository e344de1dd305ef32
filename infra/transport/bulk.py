"""Blocking connections for bulk bytes: what a thread reads costs little more than TLS itself.

They call the same port with the same pinned identities as all other traffic. Each is used by one
thread at a time and kept for the next one while the peer keeps it open.
"""

from __future__ import annotations

import http.client
import select
import socket
import threading
import time
from collections import defaultdict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from infra.transport.refusal import lost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from infra.transport.client import Patience, Peer
    from infra.transport.tls import Identity, PinnedContext, PinnedSocket

__all__ = ["BulkClient", "HangUp", "HungUpError"]

_T = TypeVar("_T")
_MOST_IDLE_PER_PEER = 8
_USER_AGENT = {"User-Agent": "ringforge"}


class HungUpError(Exception):
    """This side ended a call."""


class HangUp:
    """Lets other threads end what some threads wait for on their connections."""

    def __init__(self) -> None:
        """Start with nobody on the line."""
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._lines: set[socket.socket] = set()

    def now(self) -> None:
        """End every call that goes on and all that would follow."""
        with self._guard:
            self._over.set()
            for line in self._lines:
                # SSLSocket.shutdown would let the reading thread go on without TLS.
                with suppress(OSError):
                    socket.socket.shutdown(line, socket.SHUT_RDWR)

    @contextmanager
    def ends(self, line: socket.socket) -> Iterator[None]:
        """Include a connection while the context is open.

        Raises:
            HungUpError: when it is over already.
        """
        with self._guard:
            self.check()
            self._lines.add(line)
        try:
            yield
        finally:
            with self._guard:
                self._lines.remove(line)

    def check(self) -> None:
        """Raise HungUpError if it is over."""
        if self._over.is_set():
            raise HungUpError

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than the call goes on.

        Raises:
            HungUpError: when it is over.
        """
        self._over.wait(seconds)
        self.check()


class BulkClient:
    """Blocking connections of one member to all others."""

    def __init__(self, identity: Identity, patience: Patience) -> None:
        """Remember who calls and how long it waits."""
        self._identity = identity
        self._patience = patience
        self._guard = threading.Lock()
        self._contexts: dict[str, PinnedContext] = {}
        self._idle: defaultdict[Peer, list[_Connection]] = defaultdict(list)
        self._calls: set[HangUp] = set()
        self._closed = False

    @contextmanager
    def call(self) -> Iterator[HangUp]:
        """Yield what ends the calls made meanwhile; closing the client ends them too."""
        hang_up = HangUp()
        with self._guard:
            self._calls.add(hang_up)
            if self._closed:
                hang_up.now()
        try:
            yield hang_up
        finally:
            with self._guard:
                self._calls.remove(hang_up)

    def close(self) -> None:
        """Hang up all calls, also those to come, and close what is idle."""
        with self._guard:
            self._closed = True
            for hang_up in self._calls:
                hang_up.now()
            for connections in self._idle.values():
                for connection in connections:
                    connection.close()
            self._idle.clear()

    def persist(self, peer: Peer, attempt: Callable[[], _T], hang_up: HangUp) -> _T:
        """Repeat an attempt while connections get lost, as often as patience allows.

        Raises:
            HungUpError: when this side ended the call.
            CeremonyError: RF-PEER-007 if all attempts lost their connection, RF-PEER-013 if the
                last one took too long; whatever else the attempt raises.
        """
        for number in range(self._patience.attempts):
            hang_up.check()
            try:
                return attempt()
            except (OSError, http.client.HTTPException, UnicodeError) as error:
                hang_up.check()
                if number + 1 == self._patience.attempts:
                    at = f"{peer.host}:{peer.port}"
                    raise lost(peer.name, at, error, self._patience.attempts) from error
            hang_up.pause(self._patience.delay(number))
        raise AssertionError("patience has at least one attempt")

    @contextmanager
    def get(
        self,
        peer: Peer,
        path: str,
        headers: Mapping[str, str],
        *,
        seconds: float,
        hang_up: HangUp,
    ) -> Iterator[http.client.HTTPResponse]:
        """Ask a peer and hand out the answer before its body.

        Args:
            peer: who is asked.
            path: of the request.
            headers: further ones.
            seconds: for everything, until the last byte of the body.
            hang_up: ends it early.

        Raises:
            CeremonyError: RF-PEER-001, -002, -003, -006, -009 if the peer is not who it should be.
            OSError, http.client.HTTPException: when the connection gets lost or takes too long.
        """
        until = time.monotonic() + seconds
        connection = self._taken(peer)
        line = connection.line()
        line.until = until
        line.settimeout(self._patience.silence_seconds)
        reusable = False
        try:
            with hang_up.ends(line):
                connection.request("GET", path, headers=_USER_AGENT | dict(headers))
                with connection.getresponse() as response:
                    yield response
                    reusable = _is_read(response) and not response.will_close
        except Exception as error:
            if line.trouble is not None:
                raise line.trouble from error
            raise
        finally:
            self._give_back(peer, connection, reusable=reusable and line.trouble is None)

    def _taken(self, peer: Peer) -> _Connection:
        """Return an idle connection that the peer has not closed, or a new one."""
        while True:
            with self._guard:
                idle = self._idle[peer]
                connection = idle.pop() if idle else None
            if connection is None:
                break
            if connection.is_quiet():
                return connection
            connection.close()
        connection = _Connection(peer, self._context(peer), self._patience.connect_seconds)
        connection.connect()
        return connection

    def _give_back(self, peer: Peer, connection: _Connection, *, reusable: bool) -> None:
        with self._guard:
            if reusable and len(self._idle[peer]) < _MOST_IDLE_PER_PEER:
                self._idle[peer].append(connection)
                return
        connection.close()

    def _context(self, peer: Peer) -> PinnedContext:
        with self._guard:
            context = self._contexts.get(peer.name)
            if context is None:
                context = self._identity.client_context(peer.name)
                self._contexts[peer.name] = context
            return context


class _Connection(http.client.HTTPConnection):
    """HTTP over a pinned connection to one peer."""

    def __init__(self, peer: Peer, context: PinnedContext, seconds: float) -> None:
        super().__init__(peer.host, peer.port, timeout=seconds)
        self._context = context
        self._line: PinnedSocket | None = None

    def connect(self) -> None:
        """Connect and shake hands, within the time for either."""
        super().connect()
        self.sock = self._line = self._context.call(self.sock)

    def line(self) -> PinnedSocket:
        """Return the socket, which is connected."""
        assert self._line is not None
        return self._line

    def is_quiet(self) -> bool:
        """Tell whether it can be used: nothing has come since the last answer, not even an end."""
        if time.monotonic() > self.line().counts_until:
            return False
        poll = select.poll()
        poll.register(self.line(), select.POLLIN)
        return not poll.poll(0)


def _is_read(response: http.client.HTTPResponse) -> bool:
    """Tell whether the whole answer was read, so that the next one can follow."""
    return response.isclosed() if response.length is None else response.length == 0
