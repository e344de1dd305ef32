import io
import json
import os
import signal
import sys
import time
from queue import SimpleQueue

import psutil
import pytest

from infra.sandbox import events, warm
from infra.sandbox.display import LineDisplay, LiveDisplay, choose_display, one_line
from infra.sandbox.options import SandboxOptions, open_ceremony
from infra.sandbox.processes import Children, Exited, Line
from infra.sandbox.status import Status, health_word
from mpc_core.protocol.errors import CeremonyError

PYTHON = sys.executable
ALL_SECONDS = 60


def _options(tmp_path, **changes):
    return SandboxOptions(**({"directory": tmp_path, "identifier": "one"} | changes))


def _plan(tmp_path, **changes):
    return open_ceremony(_options(tmp_path, **changes))[1]


# options and the ceremony they mean


def test_a_new_ceremony_gives_everybody_an_identity_and_the_signed_plan(tmp_path):
    folder, plan = open_ceremony(_options(tmp_path))
    assert (plan.count, plan.threshold, plan.parameters) == (4, 1, "test")
    for home in (folder.coordinator, *(folder.operator(each.name) for each in plan.operators)):
        assert (home.vault / "identity.key").exists()
        assert not (home.vault / "setup-seed").exists()
        assert (home.path / "plan.toml").read_bytes() == folder.plan_file.read_bytes()
        assert (home.path / "plan.sig").exists()


def test_a_scaled_set_is_named_in_the_plan_and_resumes_as_it_is_named(tmp_path):
    scaled = {"parameters": "mainnet", "scale": 64}
    assert _plan(tmp_path, **scaled).parameters == "mainnet-scaled-64"
    assert _plan(tmp_path, resume=True, **scaled).parameters == "mainnet-scaled-64"
    with pytest.raises(CeremonyError, match="RF-RUN-005"):
        _plan(tmp_path, resume=True, parameters="mainnet", scale=32)


def test_two_sandboxes_with_one_seed_have_one_plan(tmp_path):
    first, second = (_plan(tmp_path, identifier=name, setup_seed="00ff") for name in ("one", "two"))
    assert first == second
    assert (tmp_path / "one" / "operators" / "op-01" / "vault" / "setup-seed").exists()


def test_the_same_id_twice_is_refused_and_resume_continues(tmp_path):
    _, plan = open_ceremony(_options(tmp_path))
    with pytest.raises(CeremonyError, match="RF-RUN-001"):
        open_ceremony(_options(tmp_path))
    assert open_ceremony(_options(tmp_path, resume=True))[1] == plan


def test_resume_without_an_id_takes_the_last_unfinished_ceremony(tmp_path):
    for at, name in enumerate(("old", "unfinished", "finished")):
        folder, _ = open_ceremony(_options(tmp_path, identifier=name))
        os.utime(folder.plan_file, (at, at))
    folder.report_json.write_text("{}")
    found, _ = open_ceremony(_options(tmp_path, identifier=None, resume=True))
    assert found.root.name == "unfinished"


def test_there_is_nothing_to_resume_in_an_empty_directory(tmp_path):
    for identifier in (None, "one"):
        with pytest.raises(CeremonyError, match="RF-RUN-020"):
            open_ceremony(_options(tmp_path, identifier=identifier, resume=True))


@pytest.mark.parametrize(
    "change",
    [
        {"operators": 7},
        {"threshold": 2},
        {"parameters": "mainnet"},
        {"waiting_seconds": 7.0},
        {"setup_seed": "00"},
    ],
)
def test_resume_of_another_ceremony_than_the_one_asked_for_is_refused(tmp_path, change):
    open_ceremony(_options(tmp_path))
    with pytest.raises(CeremonyError, match="RF-RUN-005"):
        open_ceremony(_options(tmp_path, resume=True, **change))


def test_the_options_of_the_first_run_may_be_repeated_to_resume(tmp_path):
    same = {"operators": 7, "threshold": 2, "setup_seed": "00ff", "waiting_seconds": 7.0}
    _, plan = open_ceremony(_options(tmp_path, **same))
    assert open_ceremony(_options(tmp_path, resume=True, **same))[1] == plan


# events and what they mean


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "[]",
        "{}",
        '{"event": "dance"}',
        '{"event": "progress"}',
        '{"event": "ready", "board_port": 70000}',
        '{"event": "progress", "stage": "N", "batches": -1}',
        '{"event": "stage", "stage": "N", "state": "perhaps"}',
    ],
)
def test_a_line_that_is_no_event_is_none(line):
    assert events.parse_event(line) is None


def test_a_reported_error_is_read_whole():
    error = CeremonyError("RF-LOG-001", "it", expected="a", found="b", next_step="c", stage="N")
    event = events.parse_event(json.dumps({"event": "error", **error.as_dict()}))
    assert (event.code, event.expected, event.next, event.stage) == ("RF-LOG-001", "a", "c", "N")


@pytest.mark.parametrize(
    ("up", "word"),
    [
        (13, "Optimal"),
        (12, "Healthy"),
        (9, "Healthy"),
        (8, "Degraded"),
        (5, "Degraded"),
        (4, "Unhealthy"),
        (0, "Unhealthy"),
    ],
)
def test_health_is_one_word(up, word):
    assert health_word(up, 13, 4) == word


def _progress(done, batches=8, **more):
    return events.Progressed(
        event="progress", stage="N", batches_done=done, batches=batches, **more
    )


def test_rates_count_what_is_new(tmp_path):
    status = Status(_plan(tmp_path))
    status.progressed(_progress(4, bits_done=400), 100.0)
    status.progressed(_progress(6, bits_done=600), 104.0)
    view = status.view(104.0)
    assert (view.rate, view.bit_rate) == (0.5, 50.0)


def test_percent_and_time_left_are_those_of_the_whole_ceremony(tmp_path):
    status = Status(_plan(tmp_path))
    status.progressed(_progress(4), 100.0)
    assert (status.view(100.0).percent, status.view(100.0).seconds_left) == (None, None)
    status.progressed(_progress(5, percent=30, seconds_left=75.0), 100.0)
    assert "30 %, 1 min 5 s left" in one_line(status.view(110.0))
    status.progressed(_progress(8), 120.0)
    assert (status.view(120.0).percent, status.view(120.0).seconds_left) == (30, 55.0)
    assert status.view(1000.0).seconds_left == 0.0


def test_a_resumed_stage_shows_no_rate_for_what_was_done_before(tmp_path):
    status = Status(_plan(tmp_path))
    status.stage_changed(events.StageChanged(event="stage", stage="N", state="started"))
    assert status.view(100.0).title == "noise"
    status.progressed(_progress(8, bits_done=800), 100.001)
    assert (status.view(101.0).rate, status.view(101.0).bit_rate) == (0, 0)


def test_stages_side_by_side_keep_their_own_rates(tmp_path):
    status = Status(_plan(tmp_path))
    for stage in ("N", "S"):
        changed = events.StageChanged(event="stage", stage=stage, state="started")
        status.stage_changed(changed)
    status.progressed(_progress(1), 102.0)
    other = events.Progressed(event="progress", stage="S", batches_done=1, batches=2)
    status.progressed(other, 103.0)
    status.progressed(_progress(2), 104.0)
    assert status.view(104.0).rate == 0.5


def test_the_view_says_who_is_down_and_whom_it_waits_for(tmp_path):
    status = Status(_plan(tmp_path))
    for name in ("op-01", "op-02", "op-04"):
        status.came(name)
    status.went("op-03")
    status.progressed(_progress(1, waiting_for=["op-03"], waiting_since="10:00"), 0.0)
    line = one_line(status.view(0.0))
    for words in ("noise", "1/8", "waits for op-03 since 10:00", "Healthy (3 of 4)", "down: op-03"):
        assert words in line


def test_an_operator_that_starts_is_not_down(tmp_path):
    status = Status(_plan(tmp_path))
    status.came("op-01")
    line = one_line(status.view(0.0))
    assert "Optimal (1 of 4) - starting: op-02, op-03, op-04" in line
    status.went("op-01")
    assert "Healthy (0 of 4)" in one_line(status.view(0.0))
    status.restarts("op-01")
    assert "down" not in one_line(status.view(0.0))
    status.came("op-01")
    assert "(1 of 4)" in one_line(status.view(0.0))


def test_the_time_since_when_it_waits_is_local_and_everybody_is_one_word(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "XXX-2")
    time.tzset()
    status = Status(_plan(tmp_path))
    names = ["op-01", "op-02", "op-03", "op-04"]
    since = "2026-11-21T10:00:00+00:00"
    status.progressed(_progress(1, waiting_for=names, waiting_since=since), 0.0)
    line = one_line(status.view(0.0))
    monkeypatch.undo()
    time.tzset()
    assert "waits for all operators since 12:00:00" in line


# display


def test_outside_a_terminal_there_is_one_line_for_every_change(tmp_path):
    stream = io.StringIO()
    display = choose_display(stream)
    assert isinstance(display, LineDisplay)
    status = Status(_plan(tmp_path))
    for done, now in ((1, 1.0), (1, 2.0), (2, 3.0), (2, 4.0)):
        status.progressed(_progress(done), now)
        display.show(status.view(now))
    assert len(stream.getvalue().splitlines()) == 2


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_the_picture_shows_the_same_facts(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    display = choose_display(stream)
    assert isinstance(display, LiveDisplay)
    status = Status(_plan(tmp_path), up={"op-01", "op-02"}, down={"op-04"})
    status.progressed(_progress(1), 0.0)
    status.progressed(_progress(3, waiting_for=["op-02"], note="[bold]text"), 1.0)
    display.show(status.view(1.0))
    display.say("a message with [brackets]")
    display.close()
    text = stream.getvalue()
    for words in (
        "noise",
        "3 of 8",
        "op-02",
        "batches/s",
        "Healthy",
        "op-03",
        "op-04",
        "[bold]text",
    ):
        assert words in text
    assert "a message with [brackets]" in text


# processes


def _next(inbox):
    return inbox.get(timeout=ALL_SECONDS)


def test_a_child_is_heard_and_its_end_is_told(tmp_path):
    inbox = SimpleQueue()
    program = "import sys; print('hello'); print('log', file=sys.stderr); sys.exit(3)"
    with Children(inbox, os.environ) as children:
        process = children.start("a", [PYTHON, "-c", program], tmp_path / "log")
        assert _next(inbox) == Line("a", "hello")
        ended = _next(inbox)
        assert (ended, ended.reason) == (Exited("a", process, 3), "ended with exit code 3")
        assert not children.is_running("a")
    assert (tmp_path / "log").read_text() == "log\n"


def test_a_child_that_ignores_the_wish_to_stop_is_killed_with_its_own_children(tmp_path):
    inbox = SimpleQueue()
    program = (
        "import signal, subprocess, sys, os\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print(child.pid, flush=True)\n"
        "signal.pause()\n"
    )
    with Children(inbox, os.environ) as children:
        children.start("stubborn", [PYTHON, "-c", program], tmp_path / "log")
        grandchild = psutil.Process(int(_next(inbox).text))
        assert children.stop(["stubborn"], grace=0.1) == ("stubborn",)
        gone, _ = psutil.wait_procs([grandchild], timeout=ALL_SECONDS)
        assert gone or grandchild.status() == psutil.STATUS_ZOMBIE


def test_leaving_stops_what_still_runs(tmp_path):
    inbox = SimpleQueue()
    program = "import signal; print('up', flush=True); signal.pause()"
    with Children(inbox, os.environ) as children:
        process = children.start("a", [PYTHON, "-c", program], tmp_path / "log")
        _next(inbox)
    assert _next(inbox) == Exited("a", process, -signal.SIGTERM)
    assert not psutil.pid_exists(process)


def test_a_log_that_cannot_be_written_is_explained(tmp_path):
    with (
        Children(SimpleQueue(), os.environ) as children,
        pytest.raises(CeremonyError, match="RF-DISK-002"),
    ):
        children.start("a", [PYTHON, "-c", ""], tmp_path / "missing" / "log")


# kernels


def test_kernels_compile_once_for_a_version(tmp_path, monkeypatch):
    monkeypatch.setattr(warm.platformdirs, "user_cache_path", lambda _: tmp_path)
    compiled = []
    monkeypatch.setattr(warm, "_compile", lambda folder, _: compiled.append(folder))
    said = []
    for _ in range(2):
        warm.warm_kernels(warm.cache_folder(), said.append)
    assert compiled == [warm.cache_folder()]
    assert len(said) == 1


def test_changed_sources_have_a_cache_of_their_own(tmp_path, monkeypatch):
    source = tmp_path / "kernel.py"
    source.write_text("one")
    monkeypatch.setattr(warm, "_sources", lambda: [source])
    before = warm.cache_folder()
    source.write_text("two")
    assert warm.cache_folder() != before


def test_a_kernel_that_does_not_compile_is_explained_and_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(warm.sys, "executable", "/bin/false")
    folder = tmp_path / "cache"
    for _ in range(2):
        with pytest.raises(CeremonyError, match="RF-RUN-008"):
            warm.warm_kernels(folder, lambda _: None)


def test_old_caches_go(tmp_path):
    for at in range(warm.KEPT_FOLDERS + 3):
        (tmp_path / f"{at}").mkdir()
        (tmp_path / f"{at}.lock").touch()
        os.utime(tmp_path / f"{at}", (at, at))
    warm._forget_old_folders(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 * warm.KEPT_FOLDERS
    assert not (tmp_path / "2").exists()
    assert (tmp_path / "3").exists()
