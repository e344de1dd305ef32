import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from mpc_core.protocol.errors import CeremonyError

COMMANDS = ("sandbox", "coordinator", "operator", "verify", "decrypt", "bench", "estimate")


def _run(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments], prog_name="ringforge")


def _module(monkeypatch, name, **functions):
    module = ModuleType(name)
    for function, body in functions.items():
        setattr(module, function, body)
    monkeypatch.setitem(sys.modules, name, module)


def _raises(error):
    def body(*_, **__):
        raise error

    return body


def test_the_help_names_every_command_and_the_exit_codes():
    result = _run("--help")
    assert result.exit_code == 0
    assert all(f"  {command} " in result.stdout for command in COMMANDS)
    assert "4 verification failed" in " ".join(result.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    assert _run(command, "--help").exit_code == 0


def test_help_loads_nothing_that_takes_time():
    program = (
        "import sys\n"
        "from infra.cli.main import main\n"
        "sys.argv = ['ringforge', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'numba', 'temporalio', 'pydantic', 'sqlalchemy', 'aiohttp', 'rich'}\n"
        "sys.stderr.write(repr(sorted(heavy & set(sys.modules))))\n"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert output.stderr == b"[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ("sandbox", "--nonsense"),
        ("sandbox", "--operators", "four"),
        ("sandbox", "--waiting-time", "0"),
        ("operator", "run"),
        ("verify",),
        ("dance",),
    ],
)
def test_a_wrong_use_is_exit_code_2(arguments):
    result = _run(*arguments)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--parameters", "toast"), "RF-PLAN-001"),
        (("--operators", "4", "--threshold", "2"), "RF-PLAN-002"),
        (("--operators", "14", "--threshold", "4"), "RF-PLAN-003"),
        (("--operators", "-1"), "RF-PLAN-002"),
        (("--id", "../evil"), "RF-RUN-004"),
        (("--insecure-setup-seed", "xyz"), "RF-PLAN-011"),
        (("--resume",), "RF-RUN-020"),
    ],
)
def test_a_bad_request_is_explained_and_leaves_nothing(tmp_path, arguments, code):
    result = _run("sandbox", "--dir", tmp_path, "--json", *arguments)
    assert result.exit_code == 1
    event = json.loads(result.stdout)
    assert (event["event"], event["code"]) == ("error", code)
    assert event["next"]
    assert result.stderr.startswith(code)
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_errors_without_json_leave_standard_output_to_data(tmp_path):
    result = _run("sandbox", "--dir", tmp_path, "--parameters", "toast")
    assert result.stdout == ""
    assert "  next " in result.stderr


def test_the_same_id_twice_is_explained(tmp_path):
    (tmp_path / "one").mkdir()
    result = _run("sandbox", "--dir", tmp_path, "--id", "one")
    assert result.exit_code == 1
    assert "RF-RUN-001" in result.stderr
    assert "--resume" in result.stderr


def test_a_directory_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").touch()
    result = _run("sandbox", "--dir", tmp_path / "file", "--id", "one")
    assert result.exit_code == 1
    assert "RF-DISK-002" in result.stderr


def test_a_full_disk_is_explained_and_leaves_nothing(tmp_path):
    program = (
        "import resource, sys\n"
        "from infra.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))\n"
        "sys.argv = ['x', 'sandbox', '--id', 'one', '--dir', sys.argv[1]]\n"
        "main()\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False
    )
    assert output.returncode == 1
    assert output.stderr.startswith("RF-DISK-001")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "number"), [("RF-VERIFY-001", 4), ("RF-RUN-009", 3), ("RF-DISK-001", 1)]
)
def test_the_code_of_an_error_decides_the_exit_code(tmp_path, monkeypatch, code, number):
    _module(monkeypatch, "infra.verify", verify_command=_raises(CeremonyError(code, "it")))
    assert _run("verify", tmp_path).exit_code == number


@pytest.mark.parametrize("number", [0, 1, 3, 4])
def test_verify_decides_its_own_exit_code(tmp_path, monkeypatch, number):
    calls = []

    def verify(folder, *, plan_hash, as_json):
        calls.append((folder, plan_hash, as_json))
        return number

    _module(monkeypatch, "infra.verify", verify_command=verify)
    assert _run("verify", tmp_path, "--plan-hash", "ab", "--json").exit_code == number
    assert calls == [(tmp_path, "ab", True)]


def test_decrypt_and_bench_get_what_was_typed(tmp_path, monkeypatch):
    calls = []

    def note(*positional, **named):
        calls.append((positional, named))
        return 0

    _module(monkeypatch, "infra.decrypt", decrypt_command=note)
    _module(monkeypatch, "infra.bench.command", bench_command=note)
    assert _run("decrypt", tmp_path, tmp_path / "list").exit_code == 0
    assert _run("bench", "--json").exit_code == 0
    assert calls == [((tmp_path, tmp_path / "list"), {"as_json": False}), ((), {"as_json": True})]


def test_a_process_of_a_ceremony_reports_its_error_as_an_event(tmp_path, monkeypatch):
    error = CeremonyError("RF-PEER-001", "it", next_step="that")
    _module(monkeypatch, "infra.operator", run_operator=_raises(error))
    result = _run(
        *("operator", "run", "--home", tmp_path),
        *("--temporal", "localhost:1", "--board", "localhost:2"),
    )
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"event": "error", **error.as_dict()}


def test_ctrl_c_is_no_traceback(tmp_path, monkeypatch):
    _module(monkeypatch, "infra.coordinator", run_coordinator=_raises(KeyboardInterrupt()))
    result = _run("coordinator", "run", "--home", tmp_path, "--temporal", "localhost:1")
    assert result.exit_code == 3
    assert "stopped" in result.stderr


IGNORANT = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
BUSY = "threading.Thread(target=threading.Event().wait).start()"


@pytest.mark.parametrize("first", ["pass", IGNORANT, BUSY])
def test_a_polite_kill_stops_a_process_like_ctrl_c(tmp_path, first):
    """Also where a shell, as with `&`, has Ctrl-C ignored, or where something waits for ever."""
    program = (
        "import signal, sys, threading, types\n"
        f"{first}\n"
        "def run(*_, **__):\n"
        "    sys.stdout.write('up\\n'); sys.stdout.flush()\n"
        "    signal.pause()\n"
        "sys.modules['infra.coordinator'] = types.SimpleNamespace(run_coordinator=run)\n"
        "from infra.cli import ending\n"
        "from infra.cli.main import main\n"
        "ending.GRACE_SECONDS = 0.5\n"
        "sys.argv = ['x', 'coordinator', 'run', '--home', '.', '--temporal', 'h:1']\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.getcwd()},  # noqa: PTH109
    ) as process:
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "Traceback" not in errors


def test_no_log_line_carries_bytes():
    program = (
        "from infra.telemetry import configure_logging\n"
        "import structlog\n"
        "configure_logging('op-01')\n"
        "structlog.get_logger().info('fact', share=b'secret',"
        " deep=[{'a': (bytearray(b'secret'),)}], digest='ab')\n"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    line = json.loads(output.stderr)
    assert b"secret" not in output.stderr
    assert (line["event"], line["process"], line["digest"]) == ("fact", "op-01", "ab")
    assert line["share"] == "<6 bytes>"
    assert output.stdout == b""


def test_every_error_of_these_parts_names_a_page_that_exists():
    root = Path(__file__).parents[2]
    parts = ("infra/plan", "infra/sandbox", "infra/cli", "infra/report")
    sources = [path for part in parts for path in (root / part).glob("*.py")]
    text = "".join(path.read_text() for path in (*sources, root / "infra" / "homes.py"))
    named = set(re.findall('runbook="([a-z-]+)"', text))
    assert "start" in named
    assert all((root / "runbooks" / f"{name}.md").exists() for name in named)
