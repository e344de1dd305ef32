"""`ringforge attestation`: exit codes and output."""

import base64
import json

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.enclave.command import verify_command
from tests.enclave.chains import APPROVED, MEASURED, document


@pytest.fixture
def file(tmp_path, certificates):
    path = tmp_path / "document"
    path.write_bytes(document(certificates))
    return path


def _plan(path, pcrs):
    lines = [f'pcr{index} = "{value.hex()}"' for index, value in pcrs.items()]
    path.write_text("\n".join(["[measurement]", *lines]))
    return path


def _verify(file, root, **options):
    chosen = {"policy": None, "at_document_time": True, "as_json": False, **options}
    return verify_command(file, root=lambda: root, **chosen)


def test_show_tells_what_a_document_says_and_that_nobody_checked(file):
    run = CliRunner().invoke(app, ["attestation", "show", str(file)])
    assert run.exit_code == 0
    assert MEASURED[0].hex() in run.stdout
    assert "not verified" in run.stdout


def test_show_writes_json(file):
    run = CliRunner().invoke(app, ["attestation", "show", "--json", str(file)])
    assert json.loads(run.stdout)["pcrs"]["8"] == MEASURED[8].hex()


def test_a_document_that_aws_did_not_sign_is_4(file):
    run = CliRunner().invoke(app, ["attestation", "verify", "--at-document-time", str(file)])
    assert run.exit_code == 4
    assert "RF-ATTEST-002" in run.stderr


def test_a_file_that_is_not_there_is_1(tmp_path):
    run = CliRunner().invoke(app, ["attestation", "verify", str(tmp_path / "none")])
    assert run.exit_code == 1
    assert "RF-ATTEST-012" in run.stderr


def test_a_valid_document_is_0_binary_or_base64(file, root, capsys):
    assert _verify(file, root) == 0
    assert "no measurement compared" in capsys.readouterr().out
    file.write_bytes(base64.encodebytes(file.read_bytes()))
    assert _verify(file, root) == 0


def test_an_old_document_is_4_unless_its_own_time_counts(file, root, capsys):
    assert _verify(file, root, at_document_time=False) == 4
    assert "RF-ATTEST-007" in capsys.readouterr().err


def test_a_policy_is_compared(file, root, tmp_path, capsys):
    plan = _plan(tmp_path / "plan.toml", APPROVED.pcrs)
    assert _verify(file, root, policy=plan, as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["measurement_compared"]) == ("valid", True)
    other = _plan(plan, {**APPROVED.pcrs, 2: b"\1" * 48})
    assert _verify(file, root, policy=other, as_json=True) == 4
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["code"] == "RF-ATTEST-005"


def test_an_empty_policy_is_4(file, root, tmp_path, capsys):
    assert _verify(file, root, policy=_plan(tmp_path / "plan.toml", {})) == 4
    assert "RF-ATTEST-009" in capsys.readouterr().err
