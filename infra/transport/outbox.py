"""What a member serves to the others: its blobs, each under the name of its Merkle root.

A blob is a regular file `<label>/<64 hex digits>`; the label (a stage, say) says under which
heading the bytes that are sent for it count. Only authenticated members of the plan get an answer.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import stat
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import structlog
from aiohttp import web

from infra.files import make_directory, mapped
from infra.transport.gate import Gate, Room
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from infra.transport.ledger import SentLedger
    from infra.transport.tls import Identity

__all__ = ["CALLER", "Outbox", "make_app", "serve"]

CALLER = web.RequestKey("caller", str)
"""Under which a handler finds the name of the member that called: `request[CALLER]`."""

_Handler: TypeAlias = "Callable[[web.Request], Awaitable[web.StreamResponse]]"

_BLOB_NAME = re.compile(r"[0-9a-f]{64}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")
_PIECE = 256 * 1024
_PIECE_SECONDS = 60.0
_LARGEST_BODY = 1024 * 1024
_READ_BYTES = 64 * 1024
_LINGERING_SECONDS = 1.0
_BACKLOG = 128
_MOST_MISSED = 256
_ROOM = Room()

_log = structlog.get_logger()


class Outbox:
    """The blobs a member offers, in one directory per label."""

    def __init__(self, directory: Path, ledger: SentLedger) -> None:
        """Serve what is or will be under `directory`; count in `ledger` what is sent."""
        self.directory = make_directory(directory)
        self._ledger = ledger
        self._labels = sorted(entry for entry in directory.iterdir() if entry.is_dir())
        self._missed: dict[bytes, None] = {}
        self.is_whole: Callable[[bytes], bool] = lambda _: True
        """Tells whether a blob is what its root says; it is asked before one is served."""
        self.missed_one: Callable[[], None] = lambda: None
        """Called when somebody asked for a blob that is not here."""

    def path(self, root: bytes, label: str) -> Path:
        """Return where a blob is kept; whoever has one puts it there atomically."""
        if not _LABEL.fullmatch(label):
            raise ValueError(label)
        folder = self.directory / label
        if folder not in self._labels:
            self._labels = sorted({*self._labels, make_directory(folder)})
        return folder / root.hex()

    def find(self, name: str) -> Path | None:
        """Return the file of the blob with this name, 64 lower-case hex digits, if there is one."""
        if not _BLOB_NAME.fullmatch(name):
            return None
        candidates = (label / name for label in self._labels)
        return next((path for path in candidates if _is_regular(path)), None)

    def missed(self) -> tuple[bytes, ...]:
        """Return the roots of the blobs that members asked for in vain."""
        return tuple(self._missed)

    def forget_missed(self, root: bytes) -> None:
        """Forget that a blob was asked for."""
        self._missed.pop(root, None)

    def _miss(self, name: str) -> None:
        if _BLOB_NAME.fullmatch(name) and len(self._missed) < _MOST_MISSED:
            self._missed[bytes.fromhex(name)] = None
            self.missed_one()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /blobs/<root>, whole or in part."""
        name = request.match_info["root"]
        path = self.find(name)
        if path is None or not await asyncio.to_thread(self.is_whole, bytes.fromhex(name)):
            self._miss(name)
            raise web.HTTPNotFound
        try:
            data = mapped(path)
        except FileNotFoundError as gone:
            raise web.HTTPNotFound from gone
        start, stop = _requested_range(request, len(data))
        partial = stop - start != len(data)
        response = web.StreamResponse(status=206 if partial else 200)
        response.content_type = "application/octet-stream"
        response.content_length = stop - start
        if partial:
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        await response.prepare(request)
        await self._send(request, response, data[start:stop], path.parent.name)
        return response

    async def _send(
        self, request: web.Request, response: web.StreamResponse, data: memoryview, label: str
    ) -> None:
        """Send a body, in views of the file: asyncio would copy what is left of a bytes object."""
        sent = 0
        try:
            while sent < len(data):
                piece = data[sent : sent + _PIECE]
                async with asyncio.timeout(_PIECE_SECONDS):
                    await response.write(piece)
                sent += len(piece)
            await response.write_eof()
        except (ConnectionError, TimeoutError) as error:
            caller = request[CALLER]
            _log.info("download broken off", caller=caller, sent=sent, reason=repr(error))
            if request.transport is not None:
                request.transport.close()
        finally:
            self._ledger.add(request[CALLER], label, sent)


def make_app(
    identity: Identity, outbox: Outbox | None = None, *, largest_body: int = _LARGEST_BODY
) -> web.Application:
    """Return an application that answers members of the plan only.

    The caller may add routes; their handlers find who called in `request[CALLER]`, and a
    `CeremonyError` they raise becomes status 422 with its code and subject.

    Args:
        identity: who this process is.
        outbox: what is served under /blobs/, if anything.
        largest_body: most bytes that a request may carry.
    """

    @web.middleware
    async def authenticate(request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            request[CALLER] = identity.caller(request.transport)
        except CeremonyError as error:
            identity.report(error)
            return web.Response(status=403, text=str(error))
        try:
            return await handler(request)
        except CeremonyError as error:
            _log.warning("request refused", caller=request[CALLER], error=str(error))
            return web.Response(status=422, text=str(error))

    app = web.Application(middlewares=[authenticate], client_max_size=largest_body)
    if identity.attestation is not None:
        app.on_response_prepare.append(_end_when_due)
    if outbox is not None:
        app.router.add_get("/blobs/{root}", outbox.handle)
    return app


async def _end_when_due(request: web.Request, response: web.StreamResponse) -> None:
    """Let a connection end with this answer when it is time to look at each other anew."""
    connection = None
    if request.transport is not None:
        connection = request.transport.get_extra_info("ssl_object")
    if connection is not None and connection.is_due():
        response.headers["Connection"] = "close"
        response.force_close()


@asynccontextmanager
async def serve(
    app: web.Application,
    identity: Identity,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    room: Room = _ROOM,
) -> AsyncIterator[int]:
    """Serve an application to members while the context is open.

    Args:
        app: what is served.
        identity: who serves.
        host: address of this machine.
        port: of that address; 0 for any that is free.
        room: how many connections there may be.

    Yields:
        The port that is served; the one asked for, unless that was 0.

    Raises:
        CeremonyError: RF-RUN-002 if the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise _address_error(host, port, error) from error
    found = int(listening.getsockname()[1])
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=1.0,
        read_bufsize=_READ_BYTES,
        lingering_time=_LINGERING_SECONDS,
    )
    await runner.setup()
    server = runner.server
    assert server is not None
    try:
        async with Gate(identity, server, room).open(listening):
            yield found
    finally:
        await runner.cleanup()


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _requested_range(request: web.Request, size: int) -> tuple[int, int]:
    try:
        start, stop, _ = request.http_range.indices(size)
    except ValueError as error:
        raise web.HTTPRequestRangeNotSatisfiable from error
    if request.headers.get("Range") and start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return start, stop


def _address_error(host: str, port: int, error: OSError) -> CeremonyError:
    return CeremonyError(
        "RF-RUN-002",
        f"{host}:{port} cannot be served",
        expected="a free port on an address of this machine",
        found=errno.errorcode.get(error.errno or 0, "OSError"),
        effect="this process cannot be reached by the others and stops",
        next_step=f"end the process that holds port {port}, or choose another port",
        runbook="port-in-use",
    )
