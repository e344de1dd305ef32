"""A peer that sends too much, too slowly or nothing costs a bounded amount of memory and time."""

import pytest

from infra.transport.client import Patience
from infra.transport.fetch import fetch_blob
from mpc_core.protocol.errors import CeremonyError
from tests.support.blobs import DATA, LEAF, ROOT
from tests.support.shouting import drop_by_drop, for_ever, shouting
from tests.support.transport import calling

LIMIT = 10_000
MUCH = 64 << 20
"""Far more than what is asked for and all buffers between two processes hold."""

SHORT = Patience(
    connect_seconds=2.0, silence_seconds=0.4, least_bytes_per_second=1 << 30, attempts=1
)
TEN_GIGABYTES = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_THE_END = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"
HEADERS = b"HTTP/1.1 200 OK\r\n"
ENOUGH = b"HTTP/1.1 200 OK\r\nContent-Length: 300001\r\n\r\n"


def fetch(peer, target):
    fetch_blob(peer, ROOT, len(DATA), LEAF, target)


def ask(peer, _target):
    peer.request("POST", "/owed", b"?", limit=LIMIT)


def outcome(world, target, script, act, patience=SHORT):
    """Return how a call ends and how many bytes the peer could send."""
    with (
        shouting(world.identity("op-01"), script) as (shouter, port),
        calling(world.identity("op-02"), "op-01", port, patience) as peer,
        pytest.raises(CeremonyError) as caught,
    ):
        act(peer, target)
    assert caught.value.operator == "op-01"
    assert not target.exists()
    return caught.value.code, shouter.sent


@pytest.mark.parametrize("act", [fetch, ask])
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((TEN_GIGABYTES, bytes(65536)), "RF-PEER-011"),
        ((UNTIL_THE_END, bytes(65536)), "RF-PEER-011"),
        ((HEADERS, b"X-Filler: " + bytes(b"x" * 4000) + b"\r\n"), "RF-PEER-007"),
        ((HEADERS + b"X-Filler: ", b"x" * 65536), "RF-PEER-007"),
        ((b"HTTP/1.1 ", b"2" * 65536), "RF-PEER-007"),
    ],
    ids=["length", "no length", "headers", "header", "status"],
)
def test_what_never_ends_is_not_read_to_the_end(world, target, act, answer, code):
    found, sent = outcome(world, target, for_ever(*answer), act)
    assert found == code
    assert sent < MUCH


@pytest.mark.parametrize(
    "chunk",
    [CHUNK, b"-5\r\n", b"8" + b"0" * 16 + b"\r\n", b"-f" + b"0" * 16 + b"\r\n", b"0" * 65536],
    ids=["endless", "negative", "over 64 bits", "below 64 bits", "never a size"],
)
@pytest.mark.parametrize("status", [b"200 OK", b"206 Partial Content", b"500 Trouble"])
def test_a_blob_in_chunks_is_not_read_at_all(world, target, status, chunk):
    head = b"HTTP/1.1 " + status + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    found, sent = outcome(world, target, for_ever(head, chunk), fetch)
    assert found == "RF-PEER-019"
    assert sent < MUCH


def test_an_answer_in_chunks_is_not_read_to_the_end(world, target):
    found, sent = outcome(world, target, for_ever(CHUNKED, CHUNK), ask)
    assert found == "RF-PEER-011"
    assert sent < MUCH


def test_a_blob_without_a_length_that_ends_too_early_is_noticed(world, target):
    def script(shouter, line):
        shouter.send(line, UNTIL_THE_END + DATA[:-1])

    assert outcome(world, target, script, fetch)[0] == "RF-PEER-010"


@pytest.mark.parametrize(
    ("act", "head", "piece"),
    [
        (fetch, b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (ask, b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (ask, CHUNKED, b"0" * 65536),
    ],
    ids=["announcements of a blob", "announcements", "chunk size"],
)
def test_what_is_never_about_to_begin_is_given_up(world, target, act, head, piece):
    code, _ = outcome(world, target, for_ever(head, piece), act)
    assert code in {"RF-PEER-013", "RF-PEER-007"}


@pytest.mark.parametrize("act", [fetch, ask])
@pytest.mark.parametrize("head", [b"", HEADERS, ENOUGH], ids=["nothing", "headers", "body"])
def test_a_peer_that_falls_silent_is_given_up(world, target, act, head):
    def script(shouter, line):
        shouter.send(line, head)
        shouter.over.wait()

    expected = "RF-PEER-011" if act is ask and head == ENOUGH else "RF-PEER-013"
    assert outcome(world, target, script, act)[0] == expected


@pytest.mark.parametrize("act", [fetch, ask])
@pytest.mark.parametrize(
    ("head", "drop"),
    [(b"HTTP/1.1 200 OK", b" "), (HEADERS, b"X: y\r\n"), (UNTIL_THE_END, b"x")],
    ids=["status", "headers", "body"],
)
def test_a_peer_that_drips_is_given_up_although_it_is_never_silent(world, target, act, head, drop):
    code, _ = outcome(world, target, drop_by_drop(head, drop), act)
    assert code in {"RF-PEER-013", "RF-PEER-007"}
