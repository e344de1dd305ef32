"""The supervisor of a sandbox, with parties that only play their part."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import psutil
import pytest

from infra.plan import COORDINATOR
from infra.sandbox import supervisor
from infra.sandbox.commands import Errand
from infra.sandbox.options import SandboxOptions, open_ceremony
from infra.sandbox.processes import Exited, Line
from infra.sandbox.run import run_sandbox
from infra.sandbox.supervisor import Supervisor
from infra.temporal.server import ExternalServer
from mpc_core.protocol.errors import CeremonyError
from tests.support import fake_sandbox

PYTHON = sys.executable
ALL_SECONDS = 60


def _options(tmp_path, **changes):
    return SandboxOptions(**({"directory": tmp_path, "identifier": "one"} | changes))


class Recorder:
    live = False

    def __init__(self):
        self.said, self.views, self.closed = [], [], False

    def show(self, view):
        self.views.append(view)

    def say(self, text):
        self.said.append(text)

    def close(self):
        self.closed = True


def _started(emitted):
    processes = [event for event in emitted if event["event"] == "process"]
    return {event["process"]: event["id"] for event in processes if event["state"] == "started"}


@pytest.fixture
def play(tmp_path, monkeypatch):
    fake_sandbox.install(monkeypatch.setattr)

    def run(scenario, **changes):
        monkeypatch.setenv("FAKE_SCENARIO", scenario)
        return run_sandbox(_options(tmp_path, **changes), run.display, run.emitted.append)

    run.display, run.emitted = Recorder(), []
    yield run
    assert run.display.closed
    assert not any(psutil.pid_exists(process) for process in _started(run.emitted).values())


def test_a_sandbox_runs_to_its_result_and_leaves_nothing_running(play, tmp_path):
    result = play("finish")
    assert (result.folder.keyset / "CompactPublicKey").exists()
    report = json.loads(result.folder.report_json.read_text())
    assert report["ceremony"]["keyset_digest"] == "ab" * 32
    assert "N" in report["stage_seconds"]
    assert set(_started(play.emitted)) == {"coordinator", "op-01", "op-02", "op-03", "op-04"}
    assert any("a line that is no event" in text for text in play.display.said)
    assert any(view.waiting_for == ("op-02",) for view in play.display.views)


def test_a_finished_ceremony_is_not_run_again(play):
    play("finish")
    play.emitted.clear()
    assert play("coordinator-dies", resume=True).folder.report_json.exists()
    assert play.emitted == []


def test_the_end_of_the_coordinator_ends_the_sandbox_and_resume_goes_on(play):
    with pytest.raises(CeremonyError) as caught:
        play("coordinator-dies")
    assert caught.value.code == "RF-RUN-006"
    assert caught.value.found == "ended with exit code 7, with the last words: last words"
    assert "--resume" in caught.value.next_step
    assert play("finish", resume=True).folder.report_json.exists()


def test_what_the_coordinator_reports_is_what_the_person_sees(play):
    with pytest.raises(CeremonyError) as caught:
        play("coordinator-error")
    assert (caught.value.code, caught.value.next_step) == ("RF-LOG-099", "do that")


def test_without_any_operator_the_sandbox_ends(play):
    with pytest.raises(CeremonyError) as caught:
        play("operators-die")
    assert caught.value.code == "RF-RUN-007"
    assert sum("start it again: ringforge operator run" in text for text in play.display.said) == 3


def test_a_dead_operator_is_started_again_if_asked_for(play):
    assert play("wait-for-return", restart_operators=True).folder.report_json.exists()
    assert any("op-03 ended by SIGKILL" in text for text in play.display.said)


def test_an_operator_that_somebody_started_again_is_seen(tmp_path):
    folder, plan = open_ceremony(_options(tmp_path))
    watcher = Supervisor(folder, plan, display=Recorder(), emit=print)
    watcher._dead["op-03"] = 1
    watcher._look_for_visitors()
    assert watcher._status.up == set()
    with subprocess.Popen([PYTHON, "-c", "input()"], stdin=subprocess.PIPE) as visitor:
        (folder.operator("op-03").work / "lock").write_text(f"{visitor.pid}\n")
        watcher._look_for_visitors()
        assert watcher._status.up == {"op-03"}
    watcher._look_for_visitors()
    assert watcher._status.up == set()


@pytest.mark.parametrize(
    ("ready", "running", "is_waiting"),
    [
        ({"op-01", "op-02"}, set(), True),
        ({"op-01", "op-02", "op-04"}, {"op-01", "op-02", "op-03", "op-04"}, True),
        ({"op-01", "op-02", "op-04"}, {"op-01", "op-02", "op-04"}, False),
        ({"op-01", "op-02", "op-03", "op-04"}, {"op-01", "op-02", "op-03", "op-04"}, False),
    ],
)
def test_a_host_takes_the_log_over_when_every_operator_that_runs_can_be_asked(
    tmp_path, ready, running, is_waiting
):
    folder, plan = open_ceremony(_options(tmp_path))
    watcher = Supervisor(folder, plan, display=Recorder(), emit=print)
    children = SimpleNamespace(is_running=running.__contains__)
    place = SimpleNamespace(ports=dict.fromkeys(ready, 1))
    assert watcher._awaits_operators(children, place) is is_waiting


class Started:
    """Children of which only the coordinator runs, until others are started."""

    def __init__(self):
        self.commands = {}

    def is_running(self, name):
        return name == COORDINATOR or name in self.commands

    def start(self, name, command, log):
        self.commands[name] = command
        return 4711


@pytest.mark.parametrize("restarts", [True, False])
def test_who_dies_while_the_log_moves_is_started_again_when_there_is_an_address(tmp_path, restarts):
    folder, plan = open_ceremony(_options(tmp_path))
    watcher = Supervisor(
        folder,
        plan,
        display=Recorder(),
        emit=lambda event: None,
        errand=Errand(take_over=True),
        restart_operators=restarts,
    )
    children, server = Started(), SimpleNamespace(check=lambda: None)
    place = supervisor._Place("127.0.0.1:1", ports={"op-02": 1, "op-03": 2})
    watcher._inbox.put(Exited("op-03", 1, -9))
    watcher._step(children, server, place)
    assert not children.commands
    assert place.ports == {"op-02": 1}
    assert not any("start it again" in text for text in watcher._display.said)
    watcher._inbox.put(Line(COORDINATOR, json.dumps({"event": "ready", "board_port": 7777})))
    watcher._step(children, server, place)
    told = " ".join(children.commands.get("op-03", watcher._display.said[-1:]))
    assert "--board 127.0.0.1:7777" in told
    assert (told in watcher._display.said) != restarts
    watcher._inbox.put(Exited("op-02", 1, -9))
    watcher._step(children, server, place)
    assert ("op-02" in children.commands) == restarts


def test_a_temporal_server_that_goes_away_ends_the_sandbox(play, monkeypatch):
    def gone(_):
        raise CeremonyError("RF-TEMP-003", "gone")

    monkeypatch.setattr(ExternalServer, "check", gone)
    with pytest.raises(CeremonyError, match="RF-TEMP-003"):
        play("hang")


def test_a_second_supervisor_is_refused(play, tmp_path):
    folder, _ = open_ceremony(_options(tmp_path))
    with folder.locked(), pytest.raises(CeremonyError, match="RF-RUN-003"):
        play("finish", resume=True)


@contextmanager
def _sandbox(tmp_path, *arguments, scenario="hang"):
    command = [PYTHON, "-m", "tests.support.fake_sandbox", "sandbox", "--json", "--id", "one"]
    with subprocess.Popen(
        [*command, "--dir", str(tmp_path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"FAKE_SCENARIO": scenario},
    ) as sandbox:
        try:
            yield sandbox
        finally:
            sandbox.kill()


def _children_at(sandbox, wanted):
    """Return the children, as soon as an event of this kind is seen."""
    started = []
    for line in sandbox.stdout:
        event = json.loads(line)
        if event.get("state") == "started" and "id" in event:
            started.append(psutil.Process(event["id"]))
        if event["event"] == wanted:
            break
    return started


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_sandbox_leaves_no_orphan_and_says_how_to_go_on(tmp_path, number):
    with _sandbox(tmp_path) as sandbox:
        children = _children_at(sandbox, "progress")
        sandbox.send_signal(number)
        output, errors = sandbox.communicate(timeout=ALL_SECONDS)
    assert sandbox.returncode == 3
    assert len(children) == 5
    assert not any(child.is_running() for child in children)
    assert "Traceback" not in errors
    assert f"ringforge sandbox --dir {tmp_path} --id one --resume" in errors
    assert json.loads(output.splitlines()[-1])["code"] == "RF-RUN-009"
    with _sandbox(tmp_path, "--resume", scenario="finish") as again:
        output, _ = again.communicate(timeout=ALL_SECONDS)
    assert again.returncode == 0
    assert json.loads(output.splitlines()[-1])["event"] == "result"


def test_a_second_ctrl_c_kills_what_does_not_want_to_stop(tmp_path):
    with _sandbox(tmp_path, scenario="stubborn") as sandbox:
        children = _children_at(sandbox, "progress")
        sandbox.send_signal(signal.SIGINT)
        while "stopping all processes" not in sandbox.stderr.readline():
            assert sandbox.poll() is None
        sandbox.send_signal(signal.SIGINT)
        sandbox.communicate(timeout=ALL_SECONDS)
    assert sandbox.returncode == 3
    assert len(children) == 5
    assert not any(child.is_running() for child in children)


def test_a_killed_sandbox_takes_its_children_along(tmp_path):
    with _sandbox(tmp_path) as sandbox:
        children = _children_at(sandbox, "progress")
        sandbox.kill()
        _, alive = psutil.wait_procs(children, timeout=ALL_SECONDS)
    assert len(children) == 5
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
