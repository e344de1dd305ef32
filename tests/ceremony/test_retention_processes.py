"""`ringforge operator sweep` in the homes of a real ceremony."""

import json
import shutil

from typer.testing import CliRunner

from infra.cli.main import app
from infra.homes import CeremonyFolder
from infra.party.retention import ANNOUNCED, ending_of


def test_the_home_of_a_finished_ceremony_knows_its_end_and_a_plan_without_days_keeps_all(
    announced, tmp_path
):
    folder = CeremonyFolder(shutil.copytree(announced, tmp_path / "one"))
    home = folder.operator("op-02")
    assert ending_of(home).how == ANNOUNCED
    run = CliRunner().invoke(app, ["operator", "sweep", "--home", str(home.path), "--json"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert found["ended"]["how"] == ANNOUNCED
    assert {each["fate"] for each in found["artefacts"]} == {"kept"}
    assert all(each["bytes"] for each in found["artefacts"])
