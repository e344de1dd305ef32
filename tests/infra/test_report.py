import json
import resource
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import pytest

from infra.homes import CeremonyFolder
from infra.plan.keys import SetupSeed
from infra.plan.sandbox import sandbox_plan
from infra.report.build import build_report, write_report
from infra.report.markdown import render_markdown
from infra.report.metrics import MetricsRecorder, PartyMetrics, StageMetrics, read_metrics
from infra.report.model import LinkPhase, LinkReport, NetworkReport
from infra.report.timeline import Timeline

PLAN = sandbox_plan(
    operators=4,
    threshold=1,
    parameters="test",
    waiting_seconds=60.0,
    seed=SetupSeed(b"report"),
).signed.plan


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def _recorder(path, **clocks):
    return MetricsRecorder(path / "metrics.json", "op-01", **clocks)


def test_wall_time_counts_steps_side_by_side_once_and_cpu_time_counts_both(tmp_path):
    wall, cpu = Clock(), Clock()
    meter = _recorder(tmp_path, wall_clock=wall, thread_clock=cpu)
    with meter.stage("N"):
        wall.now += 1
        with meter.stage("N"):
            wall.now += 2
            cpu.now += 5
        wall.now += 4
    spent = meter.totals().stages["N"]
    assert spent.wall_seconds == 7
    assert spent.cpu_seconds == 10


def test_stages_are_charged_apart(tmp_path):
    wall = Clock()
    meter = _recorder(tmp_path, wall_clock=wall)
    with meter.stage("N"):
        wall.now += 1
        with meter.stage("M"):
            wall.now += 2
    stages = meter.totals().stages
    assert (stages["N"].wall_seconds, stages["M"].wall_seconds) == (3, 2)


def test_a_running_step_counts_up_to_now(tmp_path):
    wall = Clock()
    meter = _recorder(tmp_path, wall_clock=wall)
    with meter.stage("N"):
        wall.now += 3
        assert meter.totals().stages["N"].wall_seconds == 3


def test_the_account_goes_on_after_a_restart(tmp_path):
    for _ in range(2):
        wall, process = Clock(), Clock()
        meter = _recorder(tmp_path, wall_clock=wall, process_clock=process)
        with meter.stage("N"):
            wall.now += 2
        meter.sent("N", 10)
        meter.received("M", 20)
        meter.save()
    saved = read_metrics(tmp_path / "metrics.json", "op-01")
    assert saved.starts == 2
    assert saved.stages["N"] == StageMetrics(4, saved.stages["N"].cpu_seconds, 20, 0)
    assert saved.received_bytes == 40
    assert saved.sent_bytes == 20
    assert saved.process_cpu_seconds == 200


def test_a_step_that_fails_is_charged_too(tmp_path):
    wall = Clock()
    meter = _recorder(tmp_path, wall_clock=wall)

    def fail():
        with meter.stage("N"):
            wall.now += 2
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert read_metrics(tmp_path / "metrics.json", "op-01").stages["N"].wall_seconds == 2


def test_many_threads_lose_no_byte(tmp_path):
    meter = _recorder(tmp_path)

    def work():
        for _ in range(1000):
            meter.sent("N", 1)
            meter.received("S", 2)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (meter.totals().sent_bytes, meter.totals().received_bytes) == (8000, 16000)


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b'{"version": 2}', b'{"version": 1, "stages": [], "name": "op-01"}'],
)
def test_a_damaged_account_is_said_to_be_incomplete(tmp_path, damage):
    (tmp_path / "metrics.json").write_bytes(damage)
    assert read_metrics(tmp_path / "metrics.json", "op-01") == PartyMetrics("op-01", lost=True)
    meter = _recorder(tmp_path)
    meter.save()
    assert read_metrics(tmp_path / "metrics.json", "op-01").lost


def test_the_account_of_another_party_is_not_taken_over(tmp_path):
    _recorder(tmp_path).save()
    assert read_metrics(tmp_path / "metrics.json", "op-02") == PartyMetrics("op-02", lost=True)


@pytest.mark.parametrize("name", ["", "../N", "N M", "1", "N\n"])
def test_a_stage_has_a_plain_name(tmp_path, name):
    with pytest.raises(ValueError, match="no name of a stage"):
        _recorder(tmp_path).sent(name, 1)


def test_the_peak_of_a_small_process_is_not_that_of_its_big_parent():
    ballast = bytearray(200 * 1024 * 1024)
    ballast[::4096] = b"\x01" * len(ballast[::4096])
    program = "from infra.report.metrics import peak_memory_bytes as p; print(p())"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert 0 < int(output.stdout) < 150 * 1024 * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > len(ballast)


def test_a_timeline_adds_up_over_stops_and_resumes(tmp_path):
    clock = Clock()
    first = Timeline(tmp_path / "timeline.json", clock)
    first.started("N")
    clock.now += 3
    first.save()
    clock.now += 50
    second = Timeline(tmp_path / "timeline.json", clock)
    second.started("N")
    second.started("N")
    clock.now += 4
    second.done("N")
    second.done("N")
    second.done("never started")
    assert second.seconds == {"N": 7}
    assert second.total == 7


def _folder_with_accounts(tmp_path):
    folder = CeremonyFolder.named(tmp_path, "one")
    with folder.being_made([operator.name for operator in PLAN.operators]) as making:
        for index, operator in enumerate(PLAN.operators, 1):
            wall = Clock()
            home = making.operator(operator.name)
            meter = MetricsRecorder(home.metrics_file, home.name, wall_clock=wall)
            for stage in ("keys", "N", "S", "M", "O", "log"):
                with meter.stage(stage):
                    wall.now += index
                meter.sent(stage, 1000 * index)
            meter.save()
    return folder


def _report(tmp_path):
    folder = _folder_with_accounts(tmp_path)
    clock = Clock()
    timeline = Timeline(folder.coordinator.work / "timeline.json", clock)
    for stage in ("N", "S", "O"):
        timeline.started(stage)
        clock.now += 2
        timeline.done(stage)
    return folder, build_report(folder, PLAN, timeline, "ab" * 32)


def test_the_report_speaks_of_offline_and_online_phase(tmp_path):
    _, report = _report(tmp_path)
    assert report.offline.sent_bytes_per_party == 4 * 4000
    assert report.online.sent_bytes_per_party == 4000
    assert report.offline.wall_seconds == 4
    assert report.online.wall_seconds == 2
    assert report.online.bandwidth_bits_per_second == 8 * 4000 / 2
    assert report.wall_seconds == 6
    assert max(party.sent_bytes for party in report.operators) == 6 * 4000


def test_the_report_counts_the_key_set(tmp_path):
    _, report = _report(tmp_path)
    facts = report.ceremony
    assert (facts.random_bits, facts.products, facts.bodies) == (729_638, 66_304, 265_746)


def test_the_report_says_whose_account_is_missing(tmp_path):
    folder, _ = _report(tmp_path)
    folder.operator("op-03").metrics_file.unlink()
    timeline = Timeline(folder.coordinator.work / "timeline.json")
    text = render_markdown(build_report(folder, PLAN, timeline, "ab" * 32))
    assert "No full account of op-03" in text
    assert "protects nothing" in text
    assert "setup-seed" in text


def test_the_report_of_a_scaled_set_says_so(tmp_path):
    _, report = _report(tmp_path)
    assert "scaled" not in render_markdown(report)
    facts = replace(report.ceremony, parameters="mainnet-scaled-16", scaled_parameters=True)
    assert "It is scaled" in render_markdown(replace(report, ceremony=facts))


def test_the_report_names_the_emulator_and_the_use_of_every_line(tmp_path):
    _, report = _report(tmp_path)
    assert "Network" not in render_markdown(report)
    phases = LinkPhase(10.0, 5_000_000, 25_000_000), LinkPhase(0.0, 7, 8)
    link = LinkReport("op-01", 100_000_000, 0.04, 0.01, "bbr", *phases)
    unlimited = LinkReport("op-02", None, 0.0, 0.0, "cubic", *phases)
    network = NetworkReport("relay", 1500, (link, unlimited))
    text = render_markdown(replace(report, network=network))
    assert "emulated by relay" in text
    assert (
        "| op-01 | 100.00 Mbit/s | 40.0 ms | 1.00% | bbr | 20.0% (5.00 MB out, 25.00 MB in)" in text
    )
    assert "| op-02 | unlimited | 0.0 ms | 0.00% | cubic | 5.00 MB out, 25.00 MB in |" in text


def test_both_files_of_the_report_say_the_same(tmp_path):
    folder, report = _report(tmp_path)
    write_report(folder, report)
    assert json.loads(folder.report_json.read_text()) == json.loads(json.dumps(asdict(report)))
    text = folder.report_markdown.read_text()
    for word in ("offline phase", "online phase", "peak memory", "729,638", "ab" * 32, "op-04"):
        assert word in text
    assert all(line.count("|") == 7 for line in text.splitlines() if line.startswith("| op-"))


def test_a_full_disk_stops_the_account_with_an_explanation(tmp_path):
    program = (
        "import pathlib, resource, sys\n"
        "from infra.report.metrics import MetricsRecorder\n"
        "from mpc_core.protocol.errors import CeremonyError\n"
        "meter = MetricsRecorder(pathlib.Path(sys.argv[1]), 'op-01')\n"
        "meter.save()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "meter.sent('N', 7)\n"
        "try: meter.save()\n"
        "except CeremonyError as error: sys.stdout.write(error.code)\n"
    )
    path = tmp_path / "metrics.json"
    output = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, check=True
    )
    assert output.stdout == b"RF-DISK-001"
    assert read_metrics(path, "op-01").starts == 1
