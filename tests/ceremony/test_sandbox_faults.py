"""Processes that die in the middle of a real ceremony, and what comes of it.

All ceremonies here have one seed and one plan, so they must end with the very same key set.
"""

import signal
from contextlib import contextmanager

import psutil
import pytest

from infra.board import export
from infra.party.rules import layout_of
from infra.verify import verify
from mpc_core.protocol.entries import Summons, WriteOff
from tests.support.reveal import key_holders
from tests.support.sandbox import Sandbox, finished, seeded


@contextmanager
def sandbox(directory, identifier, *arguments):
    """A sandbox that has left no process behind when the test is done with it."""
    with Sandbox(directory, identifier, arguments or seeded()) as running:
        yield running
        assert running.left_over() == []


def statements(ceremony, kind):
    """Return the operators that statements of this kind in the transcript are about."""
    log = export.read(ceremony.folder.transcript, ceremony.plan)
    return [entry.entry.operator for entry in log.entries if isinstance(entry.entry, kind)]


def last_progress(ceremony):
    return [text for text in ceremony.texts if " - " in text][-1]


def starts(ceremony):
    return [party["starts"] for party in ceremony.report["operators"]]


def opened_bytes(ceremony):
    """Return the size of all openings of a transcript that keeps them."""
    folder = ceremony.folder.root / "transcript" / "openings"
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.long
def test_an_operator_killed_and_started_again_catches_up_and_changes_nothing(ceremony, tmp_path):
    with sandbox(tmp_path / "elsewhere", "another", *seeded(), "--keep-openings") as running:
        running.until_progress("N", 3)
        running.kill("op-03")
        visitor = running.start_again("op-03")
        again = finished(running)
        visitor.send_signal(signal.SIGTERM)
        assert visitor.wait() == 3
    assert again.key_files() == ceremony.key_files()
    assert key_holders(again.folder, again.plan) == (1, 2, 3, 4)
    assert statements(again, WriteOff) == []
    assert starts(again) == [1, 1, 2, 1]
    assert verify(again.folder.root).not_repeated == ()
    assert opened_bytes(again) == layout_of(again.plan).opened_bytes()
    assert "Optimal (4 of 4)" in last_progress(again)


@pytest.mark.long
def test_an_operator_killed_for_good_is_written_off_and_three_of_four_end_the_same(
    ceremony, tmp_path
):
    with sandbox(tmp_path, "three") as running:
        running.until(lambda said: said.is_(event="stage", stage="keys", state="done"))
        running.kill("op-02")
        three = finished(running)
    assert three.key_files() == ceremony.key_files()
    assert key_holders(three.folder, three.plan) == (1, 3, 4)
    assert statements(three, Summons) == [2]
    assert statements(three, WriteOff) == [2]
    assert "Healthy (3 of 4)" in last_progress(three)
    assert "down: op-02" in last_progress(three)


@pytest.mark.long
def test_a_ceremony_survives_ctrl_c_damaged_files_and_the_end_of_temporal_and_coordinator(
    ceremony, tmp_path
):
    with sandbox(tmp_path, "stopped") as running:
        running.until_progress("N", 2)
        running.interrupt()
        assert running.finish() == 3
        assert_explained(running, "RF-RUN-009")
    damage_outboxes(tmp_path / "stopped")
    resume = (*seeded(), "--resume")
    with sandbox(tmp_path, "stopped", *resume) as running:
        running.until_progress("N", 6)
        running.kill_temporal()
        assert running.finish() == 1
        assert_explained(running, "RF-TEMP-003")
    with sandbox(tmp_path, "stopped", *resume) as running:
        running.until_progress("O", 1)
        running.kill("coordinator")
        assert running.finish() == 1
        assert_explained(running, "RF-RUN-006")
    with sandbox(tmp_path, "stopped", *resume) as running:
        last = finished(running)
    assert last.key_files() == ceremony.key_files()
    assert key_holders(last.folder, last.plan) == (1, 2, 3, 4)
    assert statements(last, WriteOff) == []
    # who is stopped before it is ready, as when Temporal ends at once, has not counted that start
    assert all(count in {3, 4} for count in starts(last))


@pytest.mark.long
def test_an_operator_without_room_waits_and_goes_on_by_itself_when_there_is_room(
    ceremony, tmp_path
):
    with sandbox(tmp_path, "full") as running:
        running.until_progress("N", 1)
        process = psutil.Process(running.processes["op-02"])
        _, most = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (0, most))  # no file of it can grow
        running.until(lambda said: ("op-02", "RF-DISK-001") in troubles(said))
        process.rlimit(psutil.RLIMIT_FSIZE, (most, most))
        full = finished(running)
    assert full.key_files() == ceremony.key_files()
    assert key_holders(full.folder, full.plan) == (1, 2, 3, 4)
    assert starts(full) == [1, 1, 1, 1]
    assert any("op-02 fails again and again with RF-DISK-001 since" in text for text in full.texts)


def troubles(said):
    """Return whose steps fail again and again, with the code, where a line says so."""
    found = (said.event or {}).get("troubles", ())
    return {(trouble["party"], trouble["code"]) for trouble in found}


def test_with_more_than_t_away_a_ceremony_says_so_and_goes_on_by_itself(ceremony, tmp_path):
    away = ("op-02", "op-03")
    with sandbox(tmp_path, "paused") as running:
        running.until_progress("N", 2)
        for name in away:
            running.kill(name)
        said = running.until(lambda said: (said.event or {}).get("note", "").startswith("paused"))
        visitors = [running.start_again(name) for name in away]
        again = finished(running)
        for visitor in visitors:
            visitor.send_signal(signal.SIGTERM)
            assert visitor.wait() == 3
    assert said.event["note"] == (
        "paused: 2 of 4 operators are away and 1 may be; goes on by itself when 1 of them is back"
    )
    assert said.event["waiting_for"] == list(away)
    assert said.event["waiting_since"]
    assert again.key_files() == ceremony.key_files()
    assert key_holders(again.folder, again.plan) == (1, 2, 3, 4)
    assert statements(again, WriteOff) == []


def assert_explained(running, code):
    """The last event is the error with a next step, and nothing shows a stack."""
    last = [said.event for said in running.said if said.event][-1]
    assert (last["event"], last["code"]) == ("error", code)
    assert "--resume" in last["next"]
    assert not any("Traceback" in text for text in running.texts())


def damage_outboxes(root):
    """Flip a bit of whatever op-02 serves, cut whatever op-03 and the coordinator serve."""
    touched = 0
    for home in ("operators/op-02", "operators/op-03", "coordinator"):
        for path in (root / home / "work" / "outbox").rglob("*"):
            if not path.is_file():
                continue
            data = bytearray(path.read_bytes())
            if home.endswith("op-02"):
                data[len(data) // 2] ^= 1
            else:
                del data[len(data) // 2 :]
            path.unlink()  # other parties hold links to the same file: only this copy is damaged
            path.write_bytes(data)
            touched += 1
    assert touched > 10


@pytest.mark.long
def test_an_operator_killed_during_the_key_setup_is_written_off(tmp_path):
    with sandbox(tmp_path, "early", "--waiting-time", "2") as running:
        running.until_progress("keys", 2)
        running.kill("op-04")
        early = finished(running)
    assert key_holders(early.folder, early.plan) == (1, 2, 3)
    assert statements(early, WriteOff) == [4]


@pytest.mark.long
def test_an_operator_that_dies_again_and_again_is_started_again_if_asked_for(ceremony, tmp_path):
    with sandbox(tmp_path, "restarts", *seeded(), "--restart-operators") as running:
        for stage, batches in (("N", 2), ("N", 8), ("O", 1)):
            running.until_progress(stage, batches)
            running.kill("op-01")
            running.until(lambda said: said.is_(event="process", process="op-01", state="started"))
        restarted = finished(running)
    assert restarted.key_files() == ceremony.key_files()
    assert key_holders(restarted.folder, restarted.plan) == (1, 2, 3, 4)


# bad input that needs no ceremony


def refused(directory, identifier, *arguments):
    """Return the code of the refusal of a sandbox that starts nothing, and its exit code."""
    with sandbox(directory, identifier, *arguments) as running:
        code = running.finish()
        assert running.processes == {}
        assert not any("Traceback" in text for text in running.texts())
        [error] = running.events("error")
        assert error["next"]
    return error["code"], code


def test_a_second_run_with_the_same_id_is_refused_and_resume_shows_the_result(ceremony):
    root = ceremony.folder.root
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert refused(root.parent, root.name, *seeded()) == ("RF-RUN-001", 1)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    with sandbox(root.parent, root.name, "--resume") as running:
        again = finished(running)
    assert again.events == ({"event": "result", **places(ceremony)},)


def places(ceremony):
    return {k: v for k, v in ceremony.events[-1].items() if k != "event"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--parameters", "nonesuch"), "RF-PLAN-"),
        (("--operators", "6", "--threshold", "2"), "RF-PLAN-"),
        (("--operators", "14", "--threshold", "4"), "RF-PLAN-"),
        (("--insecure-setup-seed", "xyz"), "RF-PLAN-"),
        (("--resume",), "RF-RUN-020"),
    ],
)
def test_what_cannot_be_a_ceremony_is_refused_before_anything_starts(tmp_path, arguments, code):
    found, exit_code = refused(tmp_path, "one", *arguments)
    assert found.startswith(code)
    assert exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    assert refused(tmp_path / "file" / "below", "one", *seeded()) == ("RF-DISK-002", 1)


def test_a_changed_plan_is_not_resumed(ceremony, tmp_path):
    root = tmp_path / "changed"
    root.mkdir()
    for name in ("plan.toml", "plan.sig"):
        (root / name).write_bytes((ceremony.folder.root / name).read_bytes())
    plan = (root / "plan.toml").read_text()
    assert "waiting_seconds = 20" in plan
    (root / "plan.toml").write_text(plan.replace("waiting_seconds = 20", "waiting_seconds = 21"))
    code, exit_code = refused(tmp_path, "changed", "--resume")
    assert code.startswith("RF-PLAN-")
    assert exit_code == 1
