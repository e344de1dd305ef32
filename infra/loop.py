"""One event loop in a thread of its own, so that threads and coroutines alike can await."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["BackgroundLoop"]

_T = TypeVar("_T")
_TICK_SECONDS = 1.0


class BackgroundLoop:
    """An event loop that runs in a daemon thread until it is closed."""

    def __init__(self, name: str) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, _T]) -> concurrent.futures.Future[_T]:
        """Start a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, _T], tick: Callable[[], None] | None = None) -> _T:
        """Run a coroutine on the loop and wait for it in this thread.

        Args:
            work: the coroutine.
            tick: called in this thread about every second while it waits (a heartbeat); what it
                raises cancels the work.
        """
        future = self.submit(work)
        try:
            while not concurrent.futures.wait([future], timeout=_TICK_SECONDS).done:
                if tick is not None:
                    tick()
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call(self, act: Callable[[], None]) -> None:
        """Have something called on the loop soon, and do not wait for it."""
        self._loop.call_soon_threadsafe(act)

    def close(self) -> None:
        """Cancel what still runs and end the thread."""
        if self._loop.is_closed():
            return
        self.run(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_default_executor()
