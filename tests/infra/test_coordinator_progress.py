"""What the coordinator says while it waits, on the log of a small ceremony."""

import json
from dataclasses import asdict

import pytest

from infra.coordinator import progress
from infra.coordinator.progress import Progress
from infra.coordinator.troubles import Trouble
from infra.estimate.progress import Agenda, BatchWork
from mpc_core.protocol.entries import Decision
from tests.support.ledger import RULES, Ledger

N0, N1, S0, M0, O0, O1 = (rule.key for rule in RULES)


class Batch:
    bits = 10

    def __init__(self, index):
        self.index = index


class Layout:
    """As many batches as the ledger has."""

    @property
    def assembly(self):
        return self.stage("O")

    def stage(self, stage):
        return [Batch(rule.index) for rule in RULES if rule.stage == stage]


class Log:
    """A log that counts how often it is looked at."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.looks = 0

    def read(self, question):
        self.looks += 1
        return question(self.ledger.state)


@pytest.fixture
def told(monkeypatch, capsys):
    """Return a ledger, and what is said about it at a time."""
    agenda = Agenda(
        operators=4,
        batches={rule.key: BatchWork(1.0, 1.0, 2.0) for rule in RULES},
        seal=2.0,
        rebuild=2.0,
        publish=2.0,
    )
    monkeypatch.setattr(progress, "agenda_of", lambda *_: agenda)
    now, ledger = [0.0], Ledger()
    watched = Progress(Log(ledger), Layout(), lambda index: f"op-{index:02d}", clock=lambda: now[0])

    def look(at):
        now[0] = at
        watched.look()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return ledger, look, watched


def _of(events, stage):
    return [e for e in events if e["event"] == "progress" and e["stage"] == stage]


def test_percent_and_time_left_of_the_whole_ceremony_stand_at_one_stage(told):
    ledger, look, _ = told
    assert _of(look(0.0), "keys")[-1]["percent"] == 0
    ledger.set_up()
    (bits,) = _of(look(5.0), "S")
    ledger.share(N0)
    ledger.share(S0)
    events = look(6.0)
    (noise,) = _of(events, "N")
    # 2 of 6 * 4 + 6 seconds of work in the first second
    assert noise["percent"] == 6
    assert noise["seconds_left"] == pytest.approx(14.0)
    assert "percent" not in bits
    assert _of(events, "S") == []
    assert noise["waiting_for"] == ["op-01", "op-02", "op-03", "op-04"]


def test_nothing_is_said_and_nothing_is_counted_while_the_log_stands_still(told):
    ledger, look, watched = told
    ledger.set_up()
    assert look(0.0)
    looks = watched.log.looks
    assert look(1.0) == []
    assert watched.log.looks == looks + 1


def test_when_nothing_happens_the_time_left_is_said_anew_from_time_to_time(told):
    ledger, look, _ = told
    ledger.set_up()
    look(0.0)
    ledger.share(N0)
    (first,) = _of(look(1.0), "N")
    assert look(4.0) == []
    (second,) = look(100.0)
    assert look(104.0) == []
    (third,) = look(200.0)
    assert (second["stage"], second["percent"]) == ("N", first["percent"])
    assert third["seconds_left"] > second["seconds_left"] > 0


def test_the_seal_is_a_stage_between_the_preprocessing_and_the_assembly(told):
    ledger, look, _ = told
    ledger.set_up()
    look(0.0)
    ledger.preprocess()
    events = look(10.0)
    assert {"event": "stage", "stage": "seal", "state": "started"} in events
    assert _of(events, "seal")[-1]["percent"] == 53
    ledger.seal()
    ledger.share(O0)
    events = look(20.0)
    assert {"event": "stage", "stage": "seal", "state": "done"} in events
    assert {"event": "stage", "stage": "O", "state": "started"} in events


AWAY = {"op-02": "2027-01-01T12:00:05+00:00", "op-04": "2027-01-01T12:00:00+00:00"}


def test_with_more_than_t_away_it_says_who_since_when_and_what_happens_next(told):
    ledger, look, watched = told
    ledger.set_up()
    ledger.share(N0)
    assert _of(look(0.0), "N")[-1]["note"] == ""
    watched.away = lambda: {"op-04": AWAY["op-04"]}
    assert not any(event["note"] for event in look(1.0) if event["event"] == "progress")
    watched.away = lambda: AWAY
    [said] = _of(look(2.0), "N")
    assert (said["waiting_for"], said["waiting_since"]) == (["op-02", "op-04"], AWAY["op-02"])
    assert said["note"] == (
        "paused: 2 of 4 operators are away and 1 may be; goes on by itself when 1 of them is back"
    )
    watched.away = dict
    assert _of(look(3.0), "N")[-1]["note"] == ""


def test_whose_steps_fail_again_and_again_is_said_although_the_log_stands_still(told):
    ledger, look, watched = told
    ledger.set_up()
    ledger.share(N0)
    look(0.0)
    trouble = Trouble("op-02", "RF-DISK-001", AWAY["op-02"], 3)
    watched.troubles = lambda: (trouble,)
    assert _of(look(1.0), "N")[-1]["troubles"] == [asdict(trouble)]
    assert look(2.0) == []
    watched.troubles = tuple
    assert _of(look(3.0), "N")[-1]["troubles"] == []


def test_a_pause_is_told_with_who_decided_it_and_what_ends_it(told):
    ledger, look, _ = told
    ledger.set_up()
    look(0.0)
    for operator in (1, 2, 3):
        ledger.post(operator, Decision("pause", 0, 0, "power cut" if operator == 2 else ""))
    notes = {each["note"] for each in look(1.0) if each.get("note")}
    assert notes == {
        "paused by decision of op-01, op-02, op-03 (power cut); goes on when 3 decide to resume"
    }
    for operator in (1, 2, 3):
        ledger.post(operator, Decision("resume", 1, 0, ""))
    assert all(not each.get("note") for each in look(2.0))
