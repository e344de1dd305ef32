"""Who calls the coordinator: operators ask for news of the log all the time, so silence means away.

The log cannot say it: with more than t operators away nothing on it is covered any more.
"""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web

from infra.transport.outbox import CALLER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from aiohttp.typedefs import Middleware

__all__ = ["Attendance"]

GRACE_SECONDS = 5.0
"""How long a member may be silent between two calls; who restarts needs about as long."""


class Attendance:
    """Notes when each member called last."""

    def __init__(self, names: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        """Expect calls of these members; until their first one they have been away since now."""
        self._clock = clock
        self._calling: dict[str, dict[int, web.BaseRequest]] = defaultdict(dict)
        self._last = dict.fromkeys(names, clock())
        self._seen = dict.fromkeys(self._last, datetime.now(UTC))

    def middleware(self) -> Middleware:
        """Return what notes the calls of an application; it stands inside the authentication."""

        @web.middleware
        async def note(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            name = request[CALLER]
            self._calling[name][id(request)] = request
            try:
                return await handler(request)
            finally:
                del self._calling[name][id(request)]
                self._note(name)

        return note

    def away(self) -> dict[str, str]:
        """Return who is away and since when, as ISO time; who is silent for a moment is not."""
        now = self._clock()
        for name in self._last:
            if any(_is_open(request) for request in tuple(self._calling[name].values())):
                self._note(name)
        return {
            name: self._seen[name].isoformat(timespec="seconds")
            for name, last in self._last.items()
            if now - last >= GRACE_SECONDS
        }

    def _note(self, name: str) -> None:
        if name in self._last:
            self._last[name], self._seen[name] = self._clock(), datetime.now(UTC)


def _is_open(request: web.BaseRequest) -> bool:
    return request.transport is not None and not request.transport.is_closing()
