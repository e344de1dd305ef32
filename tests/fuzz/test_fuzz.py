"""Four seconds of fuzzing for every decoder; README.md says how to run an hour of one."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
SECONDS = 4
AT_ONCE = 2

pytestmark = pytest.mark.fuzz


def _fuzz(name: str, found: Path) -> subprocess.CompletedProcess[str]:
    options = ["--seconds", str(SECONDS), "--found", str(found)]
    command = [sys.executable, "-m", "tests.fuzz", name, *options]
    return subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory, request):
    """Start the fuzzers of all collected targets, two at a time."""
    chosen = [item.callspec.params["name"] for item in request.session.items if _is_run(item)]
    folder = tmp_path_factory.mktemp("fuzz")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        started: dict[str, Future[subprocess.CompletedProcess[str]]] = {
            name: pool.submit(_fuzz, name, folder / name) for name in chosen
        }
        yield started
        pool.shutdown(cancel_futures=True)


def _is_run(item):
    return getattr(item, "originalname", "") == test_a_decoder_raises_what_it_documents.__name__


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_decoder_raises_what_it_documents(runs, name):
    run = runs[name].result()
    assert run.returncode == 0, run.stdout[-4000:]
    assert "Done " in run.stdout


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
