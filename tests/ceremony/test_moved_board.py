"""A ceremony whose host is lost for good goes on under another one, with real processes."""

from __future__ import annotations

import shutil

import pytest

from infra.board import export
from infra.verify import verify
from tests.support.sandbox import Sandbox, finished, seeded


def interrupted(directory, *arguments):
    """Run a ceremony into the noise and stop everything."""
    with Sandbox(directory, "moved", (*seeded(), *arguments)) as running:
        running.until_progress("N", 3)
        running.interrupt()
        assert running.finish() == 3
        assert running.left_over() == []


def resumed(directory, *arguments):
    with Sandbox(directory, "moved", ("--resume", *arguments)) as running:
        return finished(running)


def epoch_of(ceremony):
    return export.read(ceremony.folder.transcript, ceremony.plan).checkpoint.head.epoch


@pytest.mark.long
def test_a_coordinator_whose_machine_is_lost_takes_its_log_over_and_the_key_set_is_the_same(
    ceremony, tmp_path
):
    interrupted(tmp_path)
    shutil.rmtree(tmp_path / "moved" / "coordinator" / "work")
    moved = resumed(tmp_path, "--take-over")
    assert moved.key_files() == ceremony.key_files()
    assert epoch_of(moved) == 1
    assert verify(moved.folder.root).checks


def test_a_deputy_takes_the_log_over_finishes_the_ceremony_and_signs_the_transcript(tmp_path):
    interrupted(tmp_path, "--deputies", "1")
    shutil.rmtree(tmp_path / "moved" / "coordinator" / "work")
    (tmp_path / "moved" / "coordinator" / "vault" / "identity.key").unlink()
    moved = resumed(tmp_path, "--take-over", "--host", "deputy-1")
    assert epoch_of(moved) == 1
    assert "deputy-1" in str(verify(moved.folder.root).checks)
