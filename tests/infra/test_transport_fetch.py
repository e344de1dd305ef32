import asyncio
import threading

import pytest
from aiohttp import web

from infra.transport.client import Patience
from infra.transport.fetch import fetch_blob, is_blob
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox, make_app
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root
from tests.support.transport import QUICK, calling, serving

LEAF = 4096
DATA = bytes(index * 31 % 251 for index in range(300_001))
ROOT = chunk_root(DATA, LEAF)


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(tmp_path / "outbox", SentLedger(tmp_path / "sent.json"))
    box.path(ROOT, "N").write_bytes(DATA)
    return box


class Lying:
    """A member that answers one blob request after the other as told, the last answer again."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.ranges = []

    async def handle(self, request):
        self.ranges.append(request.headers.get("Range"))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)

    def app(self, world):
        app = make_app(world.identity("op-01"))
        app.router.add_get("/blobs/{root}", self.handle)
        return app


def whole(data):
    async def answer(_request):
        return web.Response(body=data)

    return answer


def from_range(data):
    async def answer(request):
        start = request.http_range.start or 0
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        return web.Response(status=206, body=data[start:], headers=headers)

    return answer


def breaks_off_after(count, start=0, status=200):
    async def answer(request):
        response = web.StreamResponse(status=status)
        response.content_length = len(DATA) - start
        if status == 206:
            total = len(DATA)
            response.headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        await response.prepare(request)
        await response.write(DATA[start : start + count])
        request.transport.close()
        return response

    return answer


def fetch(world, app, target, *, patience=QUICK, **options):
    with (
        serving(app, world.identity("op-01")) as port,
        calling(world.identity("op-02"), "op-01", port, patience) as peer,
    ):
        return fetch_blob(peer, ROOT, len(DATA), LEAF, target, **options)


def failure(world, app, target, **options):
    with pytest.raises(CeremonyError) as caught:
        fetch(world, app, target, **options)
    assert caught.value.operator == "op-01"
    assert not target.exists()
    return caught.value.code


def leftovers(target):
    return [path.name for path in target.parent.iterdir()] if target.parent.exists() else []


def test_a_blob_arrives_whole_and_is_counted_for_its_requester_and_label(world, outbox, tmp_path):
    target = tmp_path / "work" / "vector"
    assert fetch(world, make_app(world.identity("op-01"), outbox), target) == target
    assert target.read_bytes() == DATA
    assert leftovers(target) == ["vector"]
    assert outbox._ledger.totals() == {"N": {"op-02": len(DATA)}}


def test_an_empty_blob_arrives(world, outbox, tmp_path):
    root = chunk_root(b"", LEAF)
    outbox.path(root, "N").write_bytes(b"")
    app = make_app(world.identity("op-01"), outbox)
    with (
        serving(app, world.identity("op-01")) as port,
        calling(world.identity("op-02"), "op-01", port) as peer,
    ):
        assert fetch_blob(peer, root, 0, LEAF, tmp_path / "empty").read_bytes() == b""


def test_what_is_there_and_right_is_not_fetched_again(world, tmp_path):
    target = tmp_path / "vector"
    target.write_bytes(DATA)
    lying = Lying(whole(b""))
    fetch(world, lying.app(world), target)
    assert lying.ranges == []


def test_what_is_there_but_wrong_is_replaced(world, outbox, tmp_path):
    target = tmp_path / "vector"
    target.write_bytes(DATA[:-1] + b"x")
    fetch(world, make_app(world.identity("op-01"), outbox), target)
    assert target.read_bytes() == DATA


def test_a_lost_connection_is_continued_where_it_stopped(world, tmp_path):
    lying = Lying(breaks_off_after(100_000), breaks_off_after(50_000, 100_000, 206))
    lying.answers.append(from_range(DATA))
    target = tmp_path / "work" / "vector"
    fetch(world, lying.app(world), target)
    assert target.read_bytes() == DATA
    assert lying.ranges == [None, "bytes=100000-", "bytes=150000-"]


CUTS = (0, 1, LEAF - 1, LEAF, LEAF + 1, 16_384, 100_000, 262_143, 262_144, 262_145, len(DATA) - 1)


@pytest.mark.parametrize("cut", CUTS)
def test_no_byte_that_arrived_is_asked_for_again(world, tmp_path, cut):
    lying = Lying(breaks_off_after(cut), from_range(DATA) if cut else whole(DATA))
    target = tmp_path / "work" / "vector"
    fetch(world, lying.app(world), target)
    assert target.read_bytes() == DATA
    assert lying.ranges == [None, f"bytes={cut}-" if cut else None]
    assert leftovers(target) == ["vector"]


@pytest.mark.parametrize("cut", CUTS)
def test_the_next_process_goes_on_at_the_byte_where_the_last_one_died(world, outbox, tmp_path, cut):
    target = tmp_path / "work" / "vector"
    target.parent.mkdir()
    (target.parent / ".vector.op-01.part").write_bytes(DATA[:cut])
    fetch(world, make_app(world.identity("op-01"), outbox), target)
    assert target.read_bytes() == DATA
    assert outbox._ledger.totals() == {"N": {"op-02": len(DATA) - cut}}
    assert leftovers(target) == ["vector"]


def test_a_process_killed_before_the_rename_needs_nothing_from_the_peer(world, tmp_path):
    target = tmp_path / "work" / "vector"
    target.parent.mkdir()
    (target.parent / ".vector.op-01.part").write_bytes(DATA)
    lying = Lying(whole(b""))
    fetch(world, lying.app(world), target)
    assert target.read_bytes() == DATA
    assert lying.ranges == []
    assert leftovers(target) == ["vector"]


def test_a_part_longer_than_the_blob_is_thrown_away(world, outbox, tmp_path):
    target = tmp_path / "work" / "vector"
    target.parent.mkdir()
    (target.parent / ".vector.op-01.part").write_bytes(DATA + b"x")
    fetch(world, make_app(world.identity("op-01"), outbox), target)
    assert target.read_bytes() == DATA


def test_a_peer_that_sends_the_whole_instead_of_the_rest_is_put_up_with(world, tmp_path):
    target = tmp_path / "work" / "vector"
    lying = Lying(breaks_off_after(100_000), whole(DATA))
    fetch(world, lying.app(world), target)
    assert target.read_bytes() == DATA


def test_a_download_cut_by_a_crash_is_continued_by_the_next_process(world, outbox, tmp_path):
    target = tmp_path / "work" / "vector"
    crash = Lying(breaks_off_after(200_000), breaks_off_after(0, 200_000, 206))
    assert failure(world, crash.app(world), target) == "RF-PEER-007"
    fetch(world, make_app(world.identity("op-01"), outbox), target)
    assert target.read_bytes() == DATA
    assert outbox._ledger.totals() == {"N": {"op-02": len(DATA) - 200_000}}


def test_a_part_that_a_crash_tore_is_not_held_against_the_peer(world, outbox, tmp_path):
    target = tmp_path / "work" / "vector"
    target.parent.mkdir()
    (target.parent / ".vector.op-01.part").write_bytes(bytes(100_000))
    fetch(world, make_app(world.identity("op-01"), outbox), target)
    assert target.read_bytes() == DATA


def test_a_part_from_one_peer_is_not_held_against_another(world, outbox, tmp_path):
    target = tmp_path / "work" / "vector"
    target.parent.mkdir()
    (target.parent / ".vector.op-03.part").write_bytes(bytes(len(DATA)))
    fetch(world, make_app(world.identity("op-01"), outbox), target)
    assert outbox._ledger.totals() == {"N": {"op-02": len(DATA)}}


def test_a_truncated_answer_names_the_peer_and_leaves_nothing(world, tmp_path):
    target = tmp_path / "work" / "vector"
    assert failure(world, Lying(whole(DATA[:-1])).app(world), target) == "RF-PEER-010"
    assert leftovers(target) == []


def test_a_continuation_at_another_place_is_noticed(world, tmp_path):
    target = tmp_path / "work" / "vector"
    lying = Lying(breaks_off_after(100_000), breaks_off_after(100, 50_000, 206))
    assert failure(world, lying.app(world), target) == "RF-PEER-010"
    assert leftovers(target) == []


def test_altered_bytes_name_the_peer_and_leave_nothing(world, tmp_path):
    target = tmp_path / "work" / "vector"
    altered = DATA[:150_000] + bytes([DATA[150_000] ^ 1]) + DATA[150_001:]
    assert failure(world, Lying(whole(altered)).app(world), target) == "RF-PEER-012"
    assert leftovers(target) == []


def test_an_answer_announced_too_long_is_not_read(world, tmp_path):
    target = tmp_path / "work" / "vector"
    assert failure(world, Lying(whole(DATA * 10)).app(world), target) == "RF-PEER-011"
    assert leftovers(target) == []


def test_altered_bytes_after_a_crash_are_held_against_the_peer_once_all_are_new(world, tmp_path):
    target = tmp_path / "work" / "vector"
    target.parent.mkdir()
    (target.parent / ".vector.op-01.part").write_bytes(DATA[:100_000])
    altered = DATA[:-1] + b"x"
    lying = Lying(from_range(altered), whole(altered))
    assert failure(world, lying.app(world), target) == "RF-PEER-012"
    assert lying.ranges == ["bytes=100000-", None]
    assert leftovers(target) == []


def test_a_redirection_is_not_followed(world, tmp_path):
    async def elsewhere(_request):
        raise web.HTTPFound("https://127.0.0.1:1/")

    assert failure(world, Lying(elsewhere).app(world), tmp_path / "vector") == "RF-PEER-008"


def test_a_silent_peer_times_out_and_what_came_is_kept(world, tmp_path):
    released = threading.Event()

    async def stalls(request):
        response = web.StreamResponse()
        response.content_length = len(DATA)
        await response.prepare(request)
        await response.write(DATA[:100_000])
        await asyncio.to_thread(released.wait)
        return response

    patience = Patience(silence_seconds=0.3, attempts=1)
    target = tmp_path / "work" / "vector"
    with (
        serving(Lying(stalls).app(world), world.identity("op-01")) as port,
        calling(world.identity("op-02"), "op-01", port, patience) as peer,
    ):
        with pytest.raises(CeremonyError) as caught:
            fetch_blob(peer, ROOT, len(DATA), LEAF, target)
        released.set()
    assert caught.value.code == "RF-PEER-013"
    assert (target.parent / ".vector.op-01.part").stat().st_size == 100_000


def test_a_peer_that_drips_bytes_cannot_hold_a_fetch_open(world, tmp_path):
    async def drips(request):
        response = web.StreamResponse()
        response.content_length = len(DATA)
        await response.prepare(request)
        for index in range(len(DATA)):
            await response.write(DATA[index : index + 1])
            await asyncio.sleep(0.02)
        return response

    patience = Patience(
        connect_seconds=0.3, silence_seconds=0.3, least_bytes_per_second=1 << 30, attempts=1
    )
    code = failure(world, Lying(drips).app(world), tmp_path / "vector", patience=patience)
    assert code == "RF-PEER-013"


def test_a_missing_blob_and_an_unreachable_peer_are_told_apart(world, tmp_path):
    box = Outbox(tmp_path / "empty", SentLedger(tmp_path / "sent.json"))
    app = make_app(world.identity("op-01"), box)
    assert failure(world, app, tmp_path / "vector") == "RF-PEER-014"
    with serving(make_app(world.identity("op-01")), world.identity("op-01")) as port:
        pass
    with (
        calling(world.identity("op-02"), "op-01", port) as peer,
        pytest.raises(CeremonyError) as caught,
    ):
        fetch_blob(peer, ROOT, len(DATA), LEAF, tmp_path / "vector")
    assert caught.value.code == "RF-PEER-007"


def test_a_cancelled_activity_ends_the_fetch_and_keeps_what_came(world, tmp_path):
    released = threading.Event()

    class CancelledError(Exception):
        pass

    async def stalls(request):
        response = web.StreamResponse()
        response.content_length = len(DATA)
        await response.prepare(request)
        await response.write(DATA[:100_000])
        await asyncio.to_thread(released.wait)
        return response

    def tick():
        released.set()
        raise CancelledError

    target = tmp_path / "work" / "vector"
    with pytest.raises(CancelledError):
        fetch(world, Lying(stalls).app(world), target, tick=tick)
    assert leftovers(target) == [".vector.op-01.part"]


def test_threads_that_want_the_same_blob_fetch_it_once(world, outbox, tmp_path):
    target = tmp_path / "work" / "vector"
    app = make_app(world.identity("op-01"), outbox)
    with (
        serving(app, world.identity("op-01")) as port,
        calling(world.identity("op-02"), "op-01", port) as peer,
    ):
        arguments = (peer, ROOT, len(DATA), LEAF, target)
        threads = [threading.Thread(target=fetch_blob, args=arguments) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert is_blob(target, ROOT, len(DATA), LEAF)
    assert outbox._ledger.totals() == {"N": {"op-02": len(DATA)}}
