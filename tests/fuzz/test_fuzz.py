"""Ten seconds of fuzzing for every decoder; README.md says how to run an hour of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
SECONDS = 10

pytestmark = pytest.mark.fuzz


@pytest.fixture(scope="module")
def found(tmp_path_factory, request):
    """Fuzz the targets of all collected tests; return the folder of what came of them."""
    chosen = [item.callspec.params["name"] for item in request.session.items if _is_run(item)]
    folder = tmp_path_factory.mktemp("fuzz")
    options = ["--seconds", str(SECONDS), "--found", str(folder)]
    command = [sys.executable, "-m", "tests.fuzz", *chosen, *options]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode in {0, 1}, run.stderr[-4000:]
    (folder / "codes").write_text(run.stdout)
    return folder


def _is_run(item):
    return getattr(item, "originalname", "") == test_a_decoder_raises_what_it_documents.__name__


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_decoder_raises_what_it_documents(found, name):
    output = (found / f"{name}.txt").read_text(errors="replace")
    assert f"{name}: exit code 0\n" in (found / "codes").read_text(), output[-4000:]
    assert "Done " in output


def test_a_decoder_that_raises_anything_else_is_found(tmp_path):
    spoilt = (
        "from tests.fuzz import __main__ as fuzz\n"
        "from tests.fuzz.registry import TARGETS, Target\n"
        "def decode(data):\n"
        "    if data[:1] == b'[': raise RecursionError\n"
        "TARGETS['plan'] = Target('plan', decode, list, (ValueError,))\n"
        "import pathlib, sys\n"
        "fuzz.fuzz('plan', 60, pathlib.Path(sys.argv.pop()))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", spoilt, str(tmp_path)], cwd=ROOT, capture_output=True, check=False
    )
    assert run.returncode != 0
    assert list(tmp_path.glob("crash-*"))
