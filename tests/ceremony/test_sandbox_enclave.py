"""A ceremony whose plan asks for enclaves, and an operator whose enclave is not one of those."""

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.drill.enclave import KINDS, EnclaveOptions, drill_enclave
from infra.drill.enclave_run import CHANGED_PROGRAM, TAKEN_BACK
from infra.drill.false_enclaves import FALSE_ENCLAVES
from infra.drill.thief import STOLEN_CERTIFICATE


def test_an_operator_with_a_stolen_certificate_is_refused_by_all_and_the_ceremony_ends(tmp_path):
    options = EnclaveOptions((STOLEN_CERTIFICATE,), tmp_path)
    result = drill_enclave(STOLEN_CERTIFICATE, options, lambda _: None)
    assert (result.liar, result.victim, result.code) == ("op-04", "op-03", "RF-PEER-021")
    assert result.refused_by == ("op-01", "op-02")
    assert result.told_by == ()


@pytest.mark.long
@pytest.mark.parametrize("kind", FALSE_ENCLAVES)
def test_a_false_enclave_is_refused_by_name_by_all_others_and_the_ceremony_ends(tmp_path, kind):
    """The drill itself checks the log, the logs of all, and that `verify` finds the key set valid.

    Attested sandboxes measure the program's sources, which nobody may change meanwhile.
    """
    result = drill_enclave(kind, EnclaveOptions((kind,), tmp_path), lambda _: None)
    assert (result.liar, result.victim, result.code) == ("op-04", "", FALSE_ENCLAVES[kind].code)
    assert result.refused_by == ("op-01", "op-02", "op-03")
    assert result.told_by == ("coordinator", "op-01", "op-02", "op-03")
    assert not any(tmp_path.iterdir())


@pytest.mark.long
def test_a_store_that_is_taken_back_is_noticed_by_all_others_and_the_ceremony_ends(tmp_path):
    result = drill_enclave(TAKEN_BACK, EnclaveOptions((TAKEN_BACK,), tmp_path), lambda _: None)
    assert (result.liar, result.code) == ("op-04", "RF-STORE-004")
    assert result.refused_by == ("op-01", "op-02", "op-03")


@pytest.mark.long
def test_another_program_gets_no_key_and_the_ceremony_ends(tmp_path):
    options = EnclaveOptions((CHANGED_PROGRAM,), tmp_path)
    result = drill_enclave(CHANGED_PROGRAM, options, lambda _: None)
    assert (result.liar, result.code) == ("op-04", "RF-KMS-003")
    assert result.refused_by == ("the key service",)


def test_the_drill_knows_every_way_to_be_wrong_that_there_is():
    assert set(KINDS) == {*FALSE_ENCLAVES, STOLEN_CERTIFICATE, TAKEN_BACK, CHANGED_PROGRAM}


@pytest.mark.parametrize("kind", ["", "honest"])
def test_a_way_to_be_wrong_that_nobody_knows_is_refused_before_anything_starts(kind, tmp_path):
    words = ["drill", "enclave", "--kind", kind, "--dir", str(tmp_path / "drills")]
    assert CliRunner().invoke(app, words).exit_code == 2
    assert not (tmp_path / "drills").exists()
