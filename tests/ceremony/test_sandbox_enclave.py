"""A ceremony whose plan asks for enclaves, and an operator whose enclave is not one of those."""

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.drill.enclave import KINDS, EnclaveOptions, drill_enclave
from infra.drill.enclave_run import CHANGED_PROGRAM, TAKEN_BACK
from infra.drill.false_enclaves import FALSE_ENCLAVES


def test_an_operator_with_a_stolen_certificate_is_refused_by_all_and_the_ceremony_ends(tmp_path):
    kind = "stolen-certificate"
    result = drill_enclave(kind, EnclaveOptions((kind,), tmp_path), lambda _: None)
    assert (result.liar, result.code) == ("op-04", "RF-ATTEST-008")
    assert result.refused_by == ("op-01", "op-02", "op-03")
    assert result.told_by == ("coordinator", "op-01", "op-02", "op-03")


def test_the_drill_knows_every_way_to_be_wrong_that_there_is():
    assert set(KINDS) == {*FALSE_ENCLAVES, TAKEN_BACK, CHANGED_PROGRAM}


@pytest.mark.parametrize("kind", ["", "honest"])
def test_a_way_to_be_wrong_that_nobody_knows_is_refused_before_anything_starts(kind, tmp_path):
    words = ["drill", "enclave", "--kind", kind, "--dir", str(tmp_path / "drills")]
    assert CliRunner().invoke(app, words).exit_code == 2
    assert not (tmp_path / "drills").exists()
