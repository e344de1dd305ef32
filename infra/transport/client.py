"""Calls to other members: one pool of pinned connections for a whole process.

Bulk bytes come over connections of their own (`infra.transport.bulk`), everything else on one loop;
`Peer.request` serves threads, `Peer.arequest` coroutines of any other loop. Lost connections are
retried with exponential backoff, so a request must be idempotent, as all requests of this project
are. Answers are never read beyond their limit.
"""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakValueDictionary

import aiohttp

from infra.loop import BackgroundLoop
from infra.transport.bulk import BulkClient
from infra.transport.notice import NOTICE, NOTICE_BYTES, refused_by
from infra.transport.refusal import lost, refusal
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
    from datetime import datetime
    from pathlib import Path

    from infra.transport.ledger import SentLedger
    from infra.transport.tls import Identity

__all__ = ["Patience", "Peer", "PeerClient", "RefusedRequestError"]

_T = TypeVar("_T")
_SHOWN_BYTES = 200
_MAXIMAL_CONNECTIONS_PER_PEER = 8


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a member waits for another one.

    Attributes:
        connect_seconds: for a connection, handshake included.
        silence_seconds: between two pieces of an answer.
        least_bytes_per_second: what an answer must arrive at on average, after `silence_seconds`.
        attempts: how often a request is tried.
        first_delay_seconds: the first pause between two attempts; it doubles each time.
        longest_delay_seconds: where the doubling ends.
        ranges: in how many parts a blob is fetched at once; more than one helps where a path is
            long and loses packets, and costs writing the blob twice.
    """

    connect_seconds: float = 10.0
    silence_seconds: float = 30.0
    least_bytes_per_second: int = 64 * 1024
    attempts: int = 6
    first_delay_seconds: float = 0.2
    longest_delay_seconds: float = 10.0
    ranges: int = 1

    def seconds_for(self, size: int) -> float:
        """Return how long an answer of `size` bytes may take in all."""
        return self.connect_seconds + self.silence_seconds + size / self.least_bytes_per_second

    def delay(self, attempt: int) -> float:
        """Return the pause after attempt 0, 1, ..., jittered so that peers do not retry in step."""
        whole = min(self.first_delay_seconds * (1 << attempt), self.longest_delay_seconds)
        return whole * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on a pause


class RefusedRequestError(CeremonyError):
    """RF-PEER-008: a peer answered, but not with success.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, peer: str, path: str, status: int, answer: bytes) -> None:
        """Describe the answer; what the peer wrote is shown escaped and cut."""
        text = answer[:_SHOWN_BYTES].decode("utf-8", "replace")
        super().__init__(
            "RF-PEER-008",
            f"{peer} refused {path}",
            expected="HTTP status 2xx",
            found=f"{status} {text!r}",
            effect="the request had no effect",
            next_step=f"read the log of {peer}",
            runbook="peer-refused",
            operator=peer,
        )
        self.status = status


class PeerClient:
    """The connections of one member to all others."""

    def __init__(
        self,
        identity: Identity,
        *,
        patience: Patience = Patience(),
        ledger: SentLedger | None = None,
    ) -> None:
        """Start the loop of the connections.

        Args:
            identity: who this process is.
            patience: timeouts and retries.
            ledger: where the bytes of request bodies are counted.
        """
        self.identity = identity
        self.patience = patience
        self.loop = BackgroundLoop("peer-client")
        self.bulk = BulkClient(identity, patience)
        self._ledger = ledger
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._locks: WeakValueDictionary[Path, threading.Lock] = WeakValueDictionary()
        self._locks_guard = threading.Lock()
        self.heard: Callable[[str, datetime, datetime, str], None] | None = None
        """Takes the `Date` of every answer, with whose it is and the times around it."""
        self._session = self.loop.run(self._open_session())

    async def _open_session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(
            total=None,
            connect=self.patience.connect_seconds,
            sock_connect=self.patience.connect_seconds,
            sock_read=self.patience.silence_seconds,
        )
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=_MAXIMAL_CONNECTIONS_PER_PEER)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity", "User-Agent": "ringforge"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and end the loop."""
        self.bulk.close()
        self.loop.run(self._session.close())
        self.loop.close()

    def peer(self, name: str, host: str, port: int) -> Peer:
        """Return the member `name` as it is reached at an address."""
        return Peer(self, name, host, port)

    def exclusive(self, path: Path) -> threading.Lock:
        """Return the lock of a local file: two threads never fetch the same thing at once."""
        with self._locks_guard:
            return self._locks.setdefault(path.absolute(), threading.Lock())

    @asynccontextmanager
    async def exchange(
        self,
        peer: Peer,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request on a pooled connection and hand out the answer before its body."""
        context = self._contexts.get(peer.name)
        if context is None:
            context = self._contexts[peer.name] = self.identity.client_context(peer.name)
        host = f"[{peer.host}]" if ":" in peer.host else peer.host
        asked = self.identity.now()
        async with self._session.request(
            method,
            f"https://{host}:{peer.port}{path}",
            data=body,
            headers=headers,
            ssl=context,
            server_hostname=self.identity.members.host_name(peer.name),
            allow_redirects=False,
        ) as response:
            if self.heard is not None:
                date = response.headers.get(aiohttp.hdrs.DATE, "")
                self.heard(peer.name, asked, self.identity.now(), date)
            if body and self._ledger is not None:
                self._ledger.add(peer.name, "requests", len(body))
            yield response

    async def persist(
        self, peer: Peer, attempt: Callable[[], Awaitable[_T]], attempts: int | None = None
    ) -> _T:
        """Repeat an attempt while connections get lost, by default as often as patience allows.

        Raises:
            CeremonyError: RF-PEER-001, -002, -003, -006, -009 if the peer is not who it should
                be, RF-PEER-007 if all attempts lost their connection, RF-PEER-013 if the last one
                took too long; whatever else the attempt raises.
        """
        most = self.patience.attempts if attempts is None else attempts
        for number in range(most):
            try:
                return await attempt()
            except aiohttp.ClientConnectorCertificateError as error:
                raise refusal(_as_ssl_error(error.certificate_error), peer=peer.name) from error
            except aiohttp.ClientConnectorSSLError as error:
                raise refusal(_as_ssl_error(error.os_error), peer=peer.name) from error
            except (aiohttp.ClientError, OSError, TimeoutError, UnicodeError) as error:
                if number + 1 == most:
                    raise lost(peer.name, f"{peer.host}:{peer.port}", error, most) from error
            await asyncio.sleep(self.patience.delay(number))
        raise AssertionError("patience has at least one attempt")


@dataclass(frozen=True, slots=True)
class Peer:
    """Another member, at the address the log names for it."""

    client: PeerClient
    name: str
    host: str
    port: int

    def request(self, method: str, path: str, body: bytes | None = None, *, limit: int) -> bytes:
        """Send an idempotent request from a thread.

        Args:
            method: the HTTP method.
            path: path and query, as `/board/heads?from=3`.
            body: what is sent.
            limit: most bytes the answer may have.

        Returns:
            The body of the answer.

        Raises:
            RefusedRequestError: RF-PEER-008, the peer answered with another status than 2xx.
            CeremonyError: RF-PEER-011 if the answer exceeds `limit`; as `PeerClient.persist`.
        """
        return self.run(self._request(method, path, body, limit))

    def ask_once(
        self,
        method: str,
        path: str,
        body: bytes,
        *,
        limit: int,
        seconds: float,
        tick: Callable[[], None],
    ) -> bytes:
        """Send a request from a thread, once, and give up after so many seconds; as `request`.

        Args:
            method: the HTTP method.
            path: path and query.
            body: what is sent.
            limit: most bytes the answer may have.
            seconds: for connection and answer together.
            tick: called about every second meanwhile; what it raises ends the wait.
        """
        attempt = self._attempt(method, path, body, limit, seconds)
        return self.run(self.client.persist(self, attempt, attempts=1), tick)

    async def arequest(
        self, method: str, path: str, body: bytes | None = None, *, limit: int
    ) -> bytes:
        """Send an idempotent request from a coroutine of any loop; as `request`."""
        work = self._request(method, path, body, limit)
        return await asyncio.wrap_future(self.client.loop.submit(work))

    def run(self, work: Coroutine[Any, Any, _T], tick: Callable[[], None] | None = None) -> _T:
        """Run a coroutine on the loop of the connections and wait in this thread."""
        return self.client.loop.run(work, tick)

    async def _request(self, method: str, path: str, body: bytes | None, limit: int) -> bytes:
        seconds = self.client.patience.seconds_for(limit + len(body or b""))
        return await self.client.persist(self, self._attempt(method, path, body, limit, seconds))

    def _attempt(
        self, method: str, path: str, body: bytes | None, limit: int, seconds: float
    ) -> Callable[[], Awaitable[bytes]]:
        async def attempt() -> bytes:
            async with (
                asyncio.timeout(seconds),
                self.client.exchange(self, method, path, body=body) as response,
            ):
                if response.content_type == NOTICE:
                    raise refused_by(self, await read_limited(response, NOTICE_BYTES, self, path))
                answer = await read_limited(response, limit, self, path)
                if not response.ok or response.status >= _REDIRECTION:
                    raise RefusedRequestError(self.name, path, response.status, answer)
                return answer

        return attempt


_REDIRECTION = 300


async def read_limited(
    response: aiohttp.ClientResponse, limit: int, peer: Peer, path: str
) -> bytes:
    """Read a body of at most `limit` bytes.

    Raises:
        CeremonyError: RF-PEER-011 if there are more.
    """
    body = bytearray()
    if (response.content_length or 0) > limit:
        raise too_long(peer, path, limit)
    async for piece in response.content.iter_any():
        if len(body) + len(piece) > limit:
            raise too_long(peer, path, limit)
        body += piece
    return bytes(body)


def too_long(peer: Peer, path: str, limit: int) -> CeremonyError:
    """Return the error for an answer with more bytes than it may have."""
    return CeremonyError(
        "RF-PEER-011",
        f"{peer.name} sent more than was asked for",
        expected=f"at most {limit} bytes of {path}",
        found="a longer answer; the rest was not read",
        effect="the answer was thrown away; other members can still be asked",
        next_step=f"tell the people who run {peer.name}: their process or their disk is broken",
        runbook="peer-sends-garbage",
        operator=peer.name,
    )


def _as_ssl_error(error: BaseException) -> ssl.SSLError:
    import ssl  # noqa: PLC0415

    return error if isinstance(error, ssl.SSLError) else ssl.SSLError(str(error))
