"""tfhe-rs in Rust: finds keys conformant and computes with them (the program in tests/judge)."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from tests.support import tools

_SOURCE = Path(__file__).parents[1] / "judge"


@cache
def _release() -> Path:
    """Return where judge and examples lie, compiled once per user (minutes the first time)."""
    cargo = tools.tool("cargo", "install Rust 1.91.1 or newer with rustup")
    target = tools.cache("judge")
    tools.run(
        [cargo, "build", "--release", "--bins", "--examples"],
        cwd=_SOURCE,
        env={**os.environ, "CARGO_TARGET_DIR": str(target)},
    )
    return target / "release"


def program() -> Path:
    """Return the judge."""
    return _release() / "judge"


def example(name: str) -> Path:
    """Return a compiled example, which is a snippet of the README."""
    return _release() / "examples" / name


def check(parameters: str, directory: Path, ciphertexts: Path | None = None) -> dict[str, Any]:
    """Load the three key files and the `ClientKey` of a folder, compute, and return the results.

    Raises AssertionError with tfhe-rs's words if anything does not load or conform.
    """
    lists = [] if ciphertexts is None else [ciphertexts]
    found: dict[str, Any] = json.loads(
        tools.run([program(), "check", parameters, directory, *lists])
    )
    return found


def conforms(parameters: str, directory: Path) -> bool:
    """Return whether the three key files of a folder load as conformant."""
    return tools.run([program(), "conform", parameters, directory]).strip() == "true"


def generate(parameters: str, private_seed: bytes, tag: bytes, directory: Path) -> None:
    """Write the four files that tfhe-rs generates for a private seed."""
    tools.run([program(), "generate", parameters, private_seed.hex(), tag.hex(), directory])
