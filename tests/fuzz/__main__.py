"""Fuzz decoders: `python -m tests.fuzz TARGET... [--seconds 10] [--found FOLDER]`.

Starts from the corpus of the repository; inputs that reach something new are kept in FOLDER/TARGET,
and one that crashes is written there as `crash-...`: copy it to `tests/fuzz/corpus/TARGET/` and
repair the decoder. What libFuzzer says of a target is in FOLDER/TARGET.txt. `--seeds` writes the
valid inputs of targets that have none into the corpus.

Every target has a process of its own, forked when the decoders have been loaded once: that takes
longer than many a target is fuzzed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED = 1
MEMORY_MB = 2048
INPUT_SECONDS = 10
INSTRUMENTED = ["infra", "mpc_core.protocol", "mpc_core.tfhe", "activities", "http", "tomllib"]

with atheris.instrument_imports(include=INSTRUMENTED):
    from tests.fuzz.registry import LARGEST_INPUT
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Read the command line and fuzz until the time is over; the exit code is 1 after a crash."""
    names = f"targets: {', '.join(sorted(TARGETS))}"
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", epilog=names)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=10, help="for each of them")
    parser.add_argument("--at-once", type=int, default=2, help="so many targets side by side")
    parser.add_argument("--found", type=Path, help="where inputs and outputs are kept")
    parser.add_argument("--seeds", action="store_true", help="write missing seeds")
    chosen = parser.parse_args()
    if unknown := set(chosen.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}; {names}")
    if chosen.seeds:
        write_seeds()
    with tempfile.TemporaryDirectory() as folder:
        found = chosen.found or Path(folder)
        codes = fuzz_all(chosen.targets, chosen.seconds, found, chosen.at_once)
    sys.exit(any(codes.values()))


def fuzz_all(names: Sequence[str], seconds: int, found: Path, at_once: int) -> dict[str, int]:
    """Fuzz targets in processes of their own, print how each ended, return their exit codes."""
    found.mkdir(parents=True, exist_ok=True)
    codes: dict[str, int] = {}
    running: dict[int, str] = {}
    waiting = iter(names)
    while len(codes) < len(names):
        for name in islice(waiting, at_once - len(running)):
            running[_start(name, seconds, found)] = name
        process, status = os.wait()
        name = running.pop(process)
        codes[name] = os.waitstatus_to_exitcode(status)
        sys.stdout.write(f"{name}: exit code {codes[name]}\n")
        sys.stdout.flush()
    return codes


def _start(name: str, seconds: int, found: Path) -> int:
    """Return the number of a new process that fuzzes a target."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        try:
            with (found / f"{name}.txt").open("wb") as output:
                os.dup2(output.fileno(), sys.stdout.fileno())
                os.dup2(output.fileno(), sys.stderr.fileno())
            fuzz(name, seconds, found / name)
        finally:
            os._exit(FAILED)
    return process


def write_seeds() -> None:
    """Write the valid inputs of every target that has none, under the digest of their bytes."""
    for each in TARGETS.values():
        each.corpus.mkdir(parents=True, exist_ok=True)
        if any(each.corpus.glob("valid-*")):
            continue
        for data in each.seeds():
            (each.corpus / f"valid-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)


def fuzz(name: str, seconds: int, found: Path) -> None:
    """Run libFuzzer; it ends the process, with an exit code other than 0 after a crash."""
    found.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={INPUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={LARGEST_INPUT}",
        "-len_control=0",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
    ]
    folders = [str(found), str(TARGETS[name].corpus)]
    atheris.Setup([sys.argv[0], *options, *folders], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
