"""`ringforge operator measure`: exit codes and output."""

import json
import tomllib

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.enclave.measurement import read_measurement
from infra.image.registers import measure
from infra.plan.sections import MeasurementSection
from tests.image.images import image
from tests.image.signing import entry, section, signed_image


def _run(tmp_path, data, *options):
    path = tmp_path / "ringforge.eif"
    path.write_bytes(data)
    return CliRunner().invoke(app, ["operator", "measure", str(path), *options])


@pytest.mark.parametrize("data", [image(), signed_image(section(entry()))], ids=["bare", "signed"])
def test_what_is_written_is_the_section_of_a_plan(tmp_path, data):
    run = _run(tmp_path, data)
    assert run.exit_code == 0
    assert read_measurement(run.stdout.encode()).pcrs == measure(memoryview(data)).pcrs
    MeasurementSection.model_validate(tomllib.loads(run.stdout)["measurement"])


def test_people_are_told_who_signed_and_until_when(tmp_path):
    assert (
        "CN=Release team, until 2030-01-01" in _run(tmp_path, signed_image(section(entry()))).stderr
    )
    assert "nobody signed it" in _run(tmp_path, image()).stderr


def test_json_says_the_same(tmp_path):
    found = json.loads(_run(tmp_path, image(), "--json").stdout)
    measured = measure(memoryview(image()))
    assert found["sha256"] == measured.sha256.hex()
    assert found["measurement"] == {f"pcr{at}": measured.pcrs[at].hex() for at in (0, 1, 2)}
    assert found["signed_by"] is None


def test_a_file_that_is_no_image_is_1(tmp_path):
    run = _run(tmp_path, image()[:-1])
    assert run.exit_code == 1
    assert "RF-IMAGE-001" in run.stderr


def test_a_file_that_is_not_there_is_1(tmp_path):
    run = CliRunner().invoke(app, ["operator", "measure", str(tmp_path / "none")])
    assert run.exit_code == 1
    assert "RF-IMAGE-003" in run.stderr
