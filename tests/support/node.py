"""tfhe-rs in JavaScript: loads and re-serialises keys, encrypts under the public key."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import tools

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = "1.7.0"
_SCRIPT = Path(__file__).with_name("node.js")


@cache
def modules() -> Path:
    """Return the folder with node-tfhe, installed once into the per-user cache."""
    home = tools.cache(f"node-tfhe-{VERSION}")
    if not (home / "node_modules" / "node-tfhe" / "tfhe_bg.wasm").exists():
        npm = tools.tool("npm", "install Node.js 20 or newer")
        staging = Path(tempfile.mkdtemp(dir=home.parent, prefix="node-tfhe-"))
        options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
        tools.run([npm, "install", *options, f"node-tfhe@{VERSION}"], cwd=staging)
        shutil.rmtree(home, ignore_errors=True)
        try:
            staging.rename(home)
        except OSError:  # another test run was faster
            shutil.rmtree(staging)
    return home / "node_modules"


def _node(*arguments: str | Path) -> str:
    node = tools.tool("node", "install Node.js 20 or newer")
    return tools.run(
        [node, "--max-old-space-size=8192", _SCRIPT, *arguments],
        env={**os.environ, "NODE_PATH": str(modules())},
    )


def reserializes(kind: str, file: Path) -> bool:
    """Return whether tfhe-rs loads the file and writes the very same bytes."""
    return _node("reserialize", kind, file).strip() == "true"


def encrypt(
    public_key: Path, values: Sequence[tuple[str, int | bool]], out: Path, *, packed: bool = True
) -> None:
    """Write a compact ciphertext list of values of kinds "bool", "u8", ... "u64"."""
    words = [f"{kind}={str(value).lower()}" for kind, value in values]
    _node("encrypt", public_key, out, "packed" if packed else "plain", *words)
