"""A blob, members that serve it as a script says, and fetching it from them."""

import pytest
from aiohttp import web

from infra.transport.client import Patience
from infra.transport.fetch import fetch_blob
from infra.transport.outbox import make_app
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root
from tests.support.transport import QUICK, calling, serving

LEAF = 4096
DATA = bytes(index * 31 % 251 for index in range(300_001))
ROOT = chunk_root(DATA, LEAF)
FOUR = Patience(5.0, 5.0, attempts=3, first_delay_seconds=0.01, ranges=4)
ONCE = Patience(5.0, 5.0, attempts=1)


class Scripted:
    """Serves `data` by range; `spoil` may answer a request instead, by its number."""

    def __init__(self, world, data=DATA, spoil=None):
        self.data, self.spoil = data, spoil or {}
        self.ranges, self.connections = [], set()
        self.app = make_app(world.identity("op-01"))
        self.app.router.add_get("/blobs/{root}", self.handle)

    async def handle(self, request):
        number = len(self.ranges)
        self.ranges.append(request.headers.get("Range"))
        self.connections.add(request.transport.get_extra_info("peername"))
        if number in self.spoil:
            return await self.spoil[number](request)
        return self.answer(request)

    def answer(self, request):
        if request.headers.get("Range") is None:
            return web.Response(body=self.data)
        start, stop, _ = request.http_range.indices(len(self.data))
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(self.data)}"}
        return web.Response(status=206, body=self.data[start:stop], headers=headers)


def breaks_off_after(count):
    async def answer(request):
        start, stop, _ = request.http_range.indices(len(DATA))
        ranged = request.headers.get("Range") is not None
        response = web.StreamResponse(status=206 if ranged else 200)
        response.content_length = stop - start
        if ranged:
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(DATA)}"
        await response.prepare(request)
        await response.write(DATA[start : start + count])
        request.transport.close()
        return response

    return answer


def fetch(world, app, target, patience=QUICK, **options):
    with (
        serving(app, world.identity("op-01")) as port,
        calling(world.identity("op-02"), "op-01", port, patience) as peer,
    ):
        return fetch_blob(peer, ROOT, len(DATA), LEAF, target, **options)


def failure(world, app, target, patience=QUICK, **options):
    with pytest.raises(CeremonyError) as caught:
        fetch(world, app, target, patience, **options)
    assert caught.value.operator == "op-01"
    assert not target.exists()
    return caught.value.code


def leftovers(target):
    return sorted(path.name for path in target.parent.iterdir())
