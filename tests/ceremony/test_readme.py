"""The snippets of the README do what it says, on the key set of a real ceremony."""

import os
import re
from pathlib import Path

from tests.support import judge, node, tools

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def _block(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return found


def test_the_rust_snippet_is_the_example_that_is_compiled():
    example = ROOT / "tests" / "judge" / "examples" / "load.rs"
    assert _block("rust") == example.read_text()


def test_the_rust_snippet_computes_on_encrypted_values(announced):
    printed = tools.run([judge.example("load"), announced / "keyset"])
    assert re.fullmatch(r"computed on encrypted values: \d+ bytes\n", printed)


def test_the_javascript_snippet_encrypts_under_the_public_key(announced, tmp_path):
    script = tmp_path / "encrypt.js"
    script.write_text(_block("js"))
    printed = tools.run(
        [
            tools.tool("node", "install Node.js 20"),
            script,
            announced / "keyset",
            tmp_path / "list",
        ],
        env={**os.environ, "NODE_PATH": str(node.modules())},
    )
    assert re.fullmatch(r"encrypted two values: \d+ bytes\n", printed)
    assert node.reserializes("CompactCiphertextList", tmp_path / "list")
