"""A line that goes silent or breaks costs a fetch time, and no byte that arrived."""

from contextlib import contextmanager

import pytest

from infra.transport.client import Patience
from infra.transport.fetch import fetch_blob
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox, make_app
from mpc_core.protocol.errors import CeremonyError
from tests.support.blobs import DATA, LEAF, ROOT
from tests.support.faulty_proxy import between
from tests.support.transport import calling, serving

STUBBORN = Patience(
    connect_seconds=0.5,
    silence_seconds=0.5,
    attempts=30,
    first_delay_seconds=0.01,
    longest_delay_seconds=0.02,
)
ONCE = Patience(connect_seconds=0.5, silence_seconds=0.5, attempts=1)


@contextmanager
def line(world, tmp_path, patience=STUBBORN):
    """Yield a peer that serves DATA behind a faulty line, and the line."""
    box = Outbox(tmp_path / "outbox", SentLedger(tmp_path / "sent.json"))
    box.path(ROOT, "N").write_bytes(DATA)
    with (
        serving(make_app(world.identity("op-01"), box), world.identity("op-01")) as port,
        between(port) as (proxy, proxy_port),
        calling(world.identity("op-02"), "op-01", proxy_port, patience) as peer,
    ):
        yield peer, proxy


def fetch(peer, target):
    return fetch_blob(peer, ROOT, len(DATA), LEAF, target)


def test_a_fetch_outlasts_a_partition(world, tmp_path, target):
    with line(world, tmp_path) as (peer, proxy):
        proxy.watched = lambda passed: proxy.part() if passed > 100_000 else None
        proxy.taken = lambda connections: heal(proxy) if connections == 3 else None
        assert fetch(peer, target).read_bytes() == DATA
        assert proxy.connections == 3
        assert proxy.passed < len(DATA) + 150_000


def heal(proxy):
    proxy.watched = lambda _passed: None
    proxy.heal()


def test_a_fetch_goes_on_over_a_line_that_breaks_again_and_again(world, tmp_path, target):
    with line(world, tmp_path) as (peer, proxy):
        broken = []

        def break_now_and_then(passed):
            if passed // 50_000 > len(broken):
                broken.append(passed)
                proxy.cut()

        proxy.watched = break_now_and_then
        assert fetch(peer, target).read_bytes() == DATA
        assert len(broken) > 3


def test_a_half_open_connection_is_given_up_and_what_came_is_kept(world, tmp_path, target):
    with line(world, tmp_path, ONCE) as (peer, proxy):
        proxy.watched = lambda passed: proxy.part() if passed > 200_000 else None
        with pytest.raises(CeremonyError) as caught:
            fetch(peer, target)
        assert caught.value.code == "RF-PEER-013"
        kept = (target.parent / f".{target.name}.op-01.part").read_bytes()
        assert kept
        assert DATA.startswith(kept)
        heal(proxy)
        assert fetch(peer, target).read_bytes() == DATA


def test_a_line_that_takes_connections_and_nothing_else_is_given_up(world, tmp_path):
    with line(world, tmp_path, ONCE) as (peer, proxy):
        proxy.taken = lambda _connections: proxy.part()
        with pytest.raises(CeremonyError) as caught:
            peer.request("POST", "/owed", b"", limit=1000)
        assert caught.value.code == "RF-PEER-013"
