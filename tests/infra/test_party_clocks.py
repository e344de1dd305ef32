"""Clocks of others are measured, and t of them make nobody doubt its own."""

import datetime as dt
from email.utils import format_datetime

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from infra.party.clock_notes import ClockNotes, read_clock_notes
from infra.party.clocks import DATE_RESOLUTION, Clocks, ahead
from infra.report.incidents import incidents_of
from infra.transport.outbox import make_app
from tests.support.attested import AttestedWorld
from tests.support.board import board_plan
from tests.support.transport import calling, serving

NOW = dt.datetime(2030, 5, 1, 12, tzinfo=dt.UTC)
BOUND = 60


@pytest.fixture
def plan():
    return board_plan()


@pytest.fixture
def told():
    return []


@pytest.fixture
def clocks(plan, told):
    return Clocks(plan, "op-01", told.append)


def seconds(count):
    return dt.timedelta(seconds=count)


def heard(clocks, peer, offset, took=0.5):
    """Let an answer come in whose author's clock is ahead by so much."""
    date = format_datetime(NOW + seconds(took / 2 + offset), usegmt=True)
    clocks.heard(peer, NOW, NOW + seconds(took), date)


def codes(told):
    return [(error.code, error.operator) for error in told]


@given(
    offset=st.floats(-1e6, 1e6),
    took=st.floats(0, 1000),
    part=st.floats(0, 1),
)
def test_what_is_said_of_a_clock_is_so(offset, took, part):
    read = NOW + seconds(took * part + offset)
    shown = read.replace(microsecond=0)
    found = ahead(NOW, NOW + seconds(took), shown, DATE_RESOLUTION)
    assert found.least <= seconds(offset) + seconds(1e-5)
    assert seconds(offset) <= found.most + seconds(1e-5)
    assert found.most - found.least <= seconds(took + 1.00001)


def test_clocks_within_the_bound_are_not_spoken_of(clocks, told):
    for peer, offset in (("op-02", 58), ("op-03", -58), ("op-04", 0)):
        heard(clocks, peer, offset)
    assert told == []
    assert clocks.differing() == {}


@pytest.mark.parametrize("offset", [-3600, 3600])
def test_one_clock_that_differs_is_that_operators(clocks, told, offset):
    for _ in range(3):
        heard(clocks, "op-03", offset)
        heard(clocks, "op-02", 0)
    assert codes(told) == [("RF-CLOCK-003", "op-03")]
    assert set(clocks.differing()) == {"op-03"}


@pytest.mark.parametrize("offset", [-3600, 3600])
def test_a_clock_that_more_than_t_others_differ_from_is_ours(clocks, told, offset):
    heard(clocks, "op-02", offset)
    heard(clocks, "op-04", offset + 10)
    assert codes(told) == [("RF-CLOCK-003", "op-02"), ("RF-CLOCK-001", "op-01")]
    assert "op-02, op-04" in told[1].subject


def test_two_that_differ_to_both_sides_say_nothing_of_ours(clocks, told):
    heard(clocks, "op-02", 3600)
    heard(clocks, "op-04", -3600)
    assert codes(told) == [("RF-CLOCK-003", "op-02"), ("RF-CLOCK-003", "op-04")]


def test_a_slow_answer_accuses_nobody(clocks, told):
    heard(clocks, "op-03", 100, took=200)
    assert told == []


def test_a_clock_that_was_put_right_and_goes_wrong_again_is_told_again(clocks, told):
    for offset in (3600, 0, 3600):
        heard(clocks, "op-03", offset)
    assert codes(told) == [("RF-CLOCK-003", "op-03")] * 2


@pytest.mark.parametrize("date", ["", "now", "Mon, 99 Foo 2030 00:00:00 GMT", "1 May 2030 00:00"])
def test_a_date_that_is_none_says_nothing(clocks, told, date):
    clocks.heard("op-03", NOW, NOW, date)
    assert (told, clocks.differing()) == ([], {})


def test_hosts_and_strangers_say_nothing(clocks, told):
    heard(clocks, "coordinator", 3600)
    heard(clocks, "mallory", 3600)
    assert told == []


def test_the_security_module_signs_another_time(clocks, told):
    clocks.signed(NOW, NOW + seconds(1), NOW + seconds(BOUND))
    assert told == []
    for _ in range(2):
        clocks.signed(NOW, NOW + seconds(1), NOW + seconds(BOUND + 2))
    assert codes(told) == [("RF-CLOCK-002", "op-01")]


def test_a_verdict_is_logged_and_kept_for_the_report_of_the_ceremony(plan, tmp_path):
    home = tmp_path / "operators" / "op-01" / "work"
    home.mkdir(parents=True)
    with capture_logs() as logs:
        for _ in range(2):  # a process that is started again goes on with what it knew
            clocks = Clocks(plan, "op-01", ClockNotes(home / "clocks.json", lambda: NOW).take)
            heard(clocks, "op-03", 3600)
    codes = [(entry["code"], entry["runbook"]) for entry in logs]
    assert codes == 2 * [("RF-CLOCK-003", "clock-skew")]
    (note,) = read_clock_notes(home / "clocks.json")
    assert (note.code, note.whose, note.since, note.times) == (
        "RF-CLOCK-003",
        "op-03",
        "2030-05-01T12:00:00+00:00",
        2,
    )
    (incident,) = incidents_of(tmp_path, plan, {})
    assert incident.who == "op-03"
    assert "RF-CLOCK-003" in incident.what
    assert "+3599" in incident.detection


def test_a_disk_that_refuses_the_note_ends_no_connection(plan, tmp_path):
    with capture_logs() as logs:
        heard(Clocks(plan, "op-01", ClockNotes(tmp_path / "gone" / "kept").take), "op-03", 3600)
    assert [entry["code"][:8] for entry in logs] == ["RF-CLOCK", "RF-DISK-"]


def test_answers_of_peers_and_documents_of_the_module_carry_the_time():
    """Over attested connections: the clocks here are one, and so every offset may be zero."""
    world, dates, signed = AttestedWorld(now=dt.datetime.now(dt.UTC)), [], []
    world.clock = lambda: dt.datetime.now(dt.UTC)
    server, caller = world.identity("op-01"), world.identity("op-02")
    caller.attestation.signed = lambda *times: signed.append(times)
    app = make_app(server)
    app.router.add_post("/who", _answer)
    with serving(app, server) as port, calling(caller, "op-01", port) as other:
        other.client.heard = lambda *heard: dates.append(heard)
        other.request("POST", "/who", b"?", limit=10)
    ((peer, asked, answered, date),) = dates
    assert peer == "op-01"
    clocks, told = Clocks(world.plan, "op-02", dates.append), len(dates)
    clocks.heard(peer, asked, answered, date)
    ((before, after, time),) = signed
    assert before - dt.timedelta(milliseconds=1) <= time <= after
    clocks.signed(before, after, time)
    assert len(dates) == told


async def _answer(_):
    return web.Response(text="here")
