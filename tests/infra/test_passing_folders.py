"""Folders that pass with a drill: abandoned ones go with the next, those in use and others stay."""

import os
import subprocess
import sys

import pytest

from infra.drill.passing import PassingFolder

OURS = {os.geteuid()}
HOLDER = """
import os, sys, tempfile
from infra.drill.passing import PassingFolder
tempfile.tempdir = sys.argv[1]
print(PassingFolder("drill", {os.geteuid()}).path, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def _temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_folder_is_there_until_it_is_removed(tmp_path):
    folder = PassingFolder("drill", OURS)
    (folder.path / "data").write_bytes(b"1")
    assert list(tmp_path.iterdir()) == [folder.path]
    assert PassingFolder("drill", OURS).path != folder.path
    assert (folder.path / "data").exists()
    folder.remove()
    assert not folder.path.exists()


def test_what_a_killed_process_left_is_removed_by_the_next_and_not_before(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        left = tmp_path / holder.stdout.readline().decode().strip()
        (left / "data").write_bytes(b"1")
        PassingFolder("drill", OURS).remove()
        assert left.is_dir()
        holder.kill()
    PassingFolder("drill", {65_432}).remove()
    assert left.is_dir()
    PassingFolder("drill", OURS).remove()
    assert list(tmp_path.iterdir()) == []


def test_nothing_else_is_removed(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (tmp_path / "drill-link").symlink_to(precious)
    (tmp_path / "drill-file").write_bytes(b"1")
    (tmp_path / "drillings-1").mkdir()
    before = set(tmp_path.rglob("*"))
    PassingFolder("drill", OURS).remove()
    assert set(tmp_path.rglob("*")) == before
