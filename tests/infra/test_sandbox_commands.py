"""The commands that the sandbox starts are those that a person could type."""

import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.homes import CeremonyFolder
from infra.network.places import Reach
from infra.sandbox.commands import INTERPRETER, party_command


@pytest.mark.parametrize(
    ("role", "module", "function"),
    [
        ("operator", "infra.operator", "run_operator"),
        ("coordinator", "infra.coordinator", "run_coordinator"),
    ],
)
def test_the_parties_of_a_sandbox_are_told_where_they_keep_openings_once(
    tmp_path, monkeypatch, role, module, function
):
    calls = []

    def run(*words, **named):
        calls.append([*words, *named.values()])
        return 0

    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{function: run}))
    monkeypatch.setattr("infra.cli.parties.stop_like_ctrl_c", lambda: None)
    folder = CeremonyFolder(tmp_path / "ceremony")
    board = {"board": "127.0.0.1:2"} if role == "operator" else {}
    command = party_command(
        role, tmp_path, "127.0.0.1:1", Reach(), **board, shared_openings=folder.shared_openings
    )
    result = CliRunner().invoke(app, command[len(INTERPRETER) :])
    assert result.exit_code == 0
    assert folder.shared_openings in calls[0]
    assert folder.shared_openings.parent == folder.root
