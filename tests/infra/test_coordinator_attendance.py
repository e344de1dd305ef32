"""Who does not call the coordinator is away."""

import asyncio
import threading

import pytest
from aiohttp import web

from infra.coordinator.attendance import GRACE_SECONDS, Attendance
from infra.transport.outbox import make_app
from tests.support.transport import World, calling, serving


@pytest.fixture
def hall():
    """A coordinator whose callers wait until they are let go; yields its clock, door and calls."""
    world, now, asked, gone = World(), [0.0], threading.Semaphore(0), threading.Event()
    attendance = Attendance(["op-01", "op-02"], clock=lambda: now[0])

    async def wait(_request):
        asked.release()
        await asyncio.to_thread(gone.wait)
        return web.Response(body=b"news")

    identity = world.identity("coordinator")
    app = make_app(identity)
    app.middlewares.append(attendance.middleware())
    app.router.add_get("/news", wait)
    with (
        serving(app, identity) as port,
        calling(world.identity("op-01"), "coordinator", port) as caller,
    ):
        yield attendance, now, asked, gone, caller
        gone.set()


def test_who_has_never_called_is_away_after_a_moment(hall):
    attendance, now, *_ = hall
    assert attendance.away() == {}
    now[0] += GRACE_SECONDS
    assert set(attendance.away()) == {"op-01", "op-02"}


def test_who_waits_for_an_answer_is_here_and_who_does_not_ask_again_is_away(hall):
    attendance, now, asked, gone, caller = hall
    call = threading.Thread(target=lambda: caller.request("GET", "/news", limit=100))
    call.start()
    assert asked.acquire(timeout=60)
    now[0] += 1000
    assert set(attendance.away()) == {"op-02"}
    gone.set()
    call.join()
    assert set(attendance.away()) == {"op-02"}
    now[0] += GRACE_SECONDS
    assert set(attendance.away()) == {"op-01", "op-02"}
