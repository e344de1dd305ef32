"""`ringforge verify`: its exit code, and what it says to people and to programs."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.publish import Keeps
from infra.verify import progress, verify_command
from tests.support.published import undisturbed


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    undisturbed().publish(folder)
    return folder


@pytest.fixture
def copy(published, tmp_path):
    return shutil.copytree(published, tmp_path / "copy")


def test_a_valid_ceremony_ends_with_0_and_the_verdict_in_the_last_line(published, capsys):
    assert verify_command(published, plan_hash=None, as_json=False) == 0
    out, err = capsys.readouterr()
    *checks, verdict = out.splitlines()
    assert len(checks) == 22
    assert all(line.startswith("ok ") for line in checks)
    assert verdict.startswith("valid: ")
    assert err == ""


def test_an_altered_file_ends_with_4_and_an_error_that_names_entry_operator_and_page(copy, capsys):
    path = copy / "transcript" / "openings" / "S-0000"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    assert verify_command(copy, plan_hash=None, as_json=False) == 4
    out, err = capsys.readouterr()
    assert out.splitlines()[-1].startswith("INVALID: ")
    assert "RF-VERIFY-020  transcript/openings/S-0000 is not what the decoder opened, entry " in err
    assert "  operator  op-0" in err
    assert "  runbook   verification-failed" in err


def test_a_missing_file_ends_with_3(copy, capsys):
    (copy / "transcript" / "openings" / "S-0000").unlink()
    assert verify_command(copy, plan_hash=None, as_json=False) == 3
    out, err = capsys.readouterr()
    assert out.splitlines()[-1].startswith("incomplete: ")
    assert "RF-VERIFY-001  transcript/openings/S-0000 is missing" in err


def test_another_plan_than_the_pinned_one_ends_with_4(published, capsys):
    right = undisturbed().plan.hash.hex()
    assert verify_command(published, plan_hash=right, as_json=False) == 0
    assert "as pinned" in capsys.readouterr().out
    assert verify_command(published, plan_hash="00" * 32, as_json=False) == 4
    assert "RF-VERIFY-007" in capsys.readouterr().err


def test_json_is_one_object_with_every_check(published, capsys):
    assert verify_command(published, plan_hash=None, as_json=True) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert (found["verdict"], found["exit"]) == ("valid", 0)
    assert len(found["checks"]) == 22
    assert all(check["ok"] and check["detail"] for check in found["checks"])
    assert found["not_repeated"] == []


def test_what_was_not_repeated_is_said_to_people_and_to_programs_and_ends_with_0(tmp_path, capsys):
    undisturbed().publish(tmp_path, keeps=Keeps.ASSEMBLY)
    assert verify_command(tmp_path, plan_hash=None, as_json=False) == 0
    *lines, verdict = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("not repeated ") for line in lines) == 4
    assert verdict.startswith("valid: ")
    assert "--keep-openings" in verdict
    assert verify_command(tmp_path, plan_hash=None, as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["exit"]) == ("valid", 0)
    assert all(check["ok"] for check in found["checks"])
    assert [part["check"] for part in found["not_repeated"]] == [
        "opened values",
        "openings",
        "challenges",
        "rules",
    ]


def test_a_long_verification_says_how_far_it_is_on_standard_error(published, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LONG", 1)
    assert verify_command(published, plan_hash=None, as_json=True) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    total = err.splitlines()[-1].rpartition("100 % of ")[2]
    assert err.startswith("verify: ")
    assert total.endswith(" bytes")


def test_json_says_what_is_wrong(copy, capsys):
    (copy / "plan.sig").write_bytes(b"")
    assert verify_command(copy, plan_hash=None, as_json=True) == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["exit"]) == ("incomplete", 3)
    wrong = [check for check in found["checks"] if "error" in check]
    assert {check["error"]["code"] for check in wrong} == {"RF-VERIFY-002"}
    assert any(check["outcome"] == "skipped" for check in found["checks"])


def test_the_program_exits_with_the_verdict(published, copy):
    runner = CliRunner()
    assert runner.invoke(app, ["verify", str(published)]).exit_code == 0
    assert runner.invoke(app, ["verify", str(published), "--plan-hash", "00"]).exit_code == 4
    (copy / "plan.toml").unlink()
    assert runner.invoke(app, ["verify", str(copy), "--json"]).exit_code == 3
