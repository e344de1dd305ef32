"""The bodies of requests: never much longer than they may be, and not sent for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.web import Request

__all__ = ["read_body"]

_SECONDS = 60.0
_LEAST_BYTES_PER_SECOND = 16 * 1024


async def read_body(request: Request, limit: int, *, seconds: float = _SECONDS) -> bytes:
    """Read a request, not far beyond `limit` bytes; one that is longer is refused as what it is.

    Raises:
        web.HTTPRequestTimeout: if it takes longer than `seconds` and what so many bytes may take.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(seconds + limit / _LEAST_BYTES_PER_SECOND):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > limit:
                    break
    except TimeoutError as error:
        raise web.HTTPRequestTimeout from error
    return bytes(body)
