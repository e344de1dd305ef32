"""Fuzz one decoder: `python -m tests.fuzz TARGET [--seconds 10] [--found FOLDER]`.

Starts from the corpus of the repository; inputs that reach something new are kept in FOLDER, and
one that crashes is written there as `crash-...`: copy it to `tests/fuzz/corpus/TARGET/` and repair
the decoder. `--seeds` writes the valid inputs of targets that have none into the corpus.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path

import atheris

MEMORY_MB = 2048
INPUT_SECONDS = 10
INSTRUMENTED = ["infra", "mpc_core.protocol", "mpc_core.tfhe", "activities", "http", "tomllib"]

with atheris.instrument_imports(include=INSTRUMENTED):
    from tests.fuzz.registry import LARGEST_INPUT
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Read the command line and fuzz until the time is over or something crashes."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", nargs="?", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--found", type=Path)
    parser.add_argument("--seeds", action="store_true")
    chosen = parser.parse_args()
    if chosen.seeds:
        write_seeds()
    if chosen.target:
        with tempfile.TemporaryDirectory() as folder:
            fuzz(chosen.target, chosen.seconds, chosen.found or Path(folder))


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
