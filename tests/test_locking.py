"""Versions are pinned in one place, hashed in another, and the two agree."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _constraints() -> dict[str, str]:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]
    return dict(pin.split("==") for pin in tool["constraint-dependencies"])


def _locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = (re.match(r"([a-z0-9][a-z0-9.\-]*)==([^ ;]+)", line) for line in lines)
    return {pin[1]: pin[2] for pin in pins if pin}


def test_every_locked_version_is_the_pinned_one():
    constraints, locked = _constraints(), _locked()
    assert locked
    assert {name: constraints.get(name) for name in locked} == locked


def test_every_locked_version_has_a_hash():
    text = (ROOT / "requirements.lock").read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    pinned = [block for block in blocks if re.match(r"[a-z0-9.\-]+==", block)]
    assert pinned
    assert all("--hash=sha256:" in block for block in pinned)


def test_no_committed_file_records_a_download_address():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
