import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from infra.homes import CeremonyFolder
from mpc_core.protocol.errors import CeremonyError

NAMES = ("op-01", "op-02")


def _made(tmp_path, identifier="one"):
    folder = CeremonyFolder.named(tmp_path / "ceremonies", identifier)
    with folder.being_made(NAMES) as making:
        making.plan_file.write_text("plan")
    return folder


def test_a_ceremony_has_a_home_for_everybody(tmp_path):
    folder = _made(tmp_path)
    folder.check()
    for home in (folder.coordinator, *(folder.operator(name) for name in NAMES)):
        home.check()
        assert stat.S_IMODE(home.vault.stat().st_mode) == 0o700
        assert stat.S_IMODE(home.work.stat().st_mode) == 0o700
    assert folder.operator("op-01").name == "op-01"
    assert {path.name for path in folder.root.parent.iterdir()} == {"one"}


def test_a_second_run_with_the_same_id_changes_nothing(tmp_path):
    folder = _made(tmp_path)
    with pytest.raises(CeremonyError) as caught, folder.being_made(NAMES):
        pytest.fail("a ceremony was overwritten")
    assert caught.value.code == "RF-RUN-001"
    assert "--resume" in caught.value.next_step
    assert folder.plan_file.read_text() == "plan"


def test_two_runs_at_once_with_the_same_id_give_one_ceremony(tmp_path):
    slow = CeremonyFolder.named(tmp_path / "ceremonies", "one")
    with pytest.raises(CeremonyError, match="RF-RUN-001"), slow.being_made(NAMES):
        _made(tmp_path)
    assert slow.plan_file.read_text() == "plan"
    assert {path.name for path in slow.root.parent.iterdir()} == {"one"}


def test_a_run_that_fails_while_making_leaves_nothing(tmp_path):
    folder = CeremonyFolder.named(tmp_path / "ceremonies", "one")
    with pytest.raises(KeyboardInterrupt), folder.being_made(NAMES):
        raise KeyboardInterrupt
    assert list(folder.root.parent.iterdir()) == []


def test_there_is_nothing_to_resume_where_no_ceremony_is(tmp_path):
    folder = CeremonyFolder.named(tmp_path, "one")
    with pytest.raises(CeremonyError, match="RF-RUN-020"):
        folder.check()
    with pytest.raises(CeremonyError, match="RF-RUN-020"):
        folder.operator("op-01").check()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "-a", ".a", "a b", "a" * 65, "a\n"])
def test_an_id_that_is_no_folder_name_is_refused(tmp_path, name):
    with pytest.raises(CeremonyError, match="RF-RUN-004"):
        CeremonyFolder.named(tmp_path, name)


def test_two_processes_never_work_in_one_home(tmp_path):
    home = _made(tmp_path).operator("op-01")
    program = (
        "import sys, pathlib; from infra.homes import Home\n"
        "with Home(pathlib.Path(sys.argv[1])).locked(): print('in', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(home.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "in\n"
        with pytest.raises(CeremonyError) as caught, home.locked():
            pytest.fail("two processes in one home")
        assert caught.value.code == "RF-RUN-003"
        assert caught.value.found == f"process {other.pid}"
        other.kill()
        other.wait()
        with home.locked():
            assert (home.work / "lock").read_text() == f"{os.getpid()}\n"


def test_two_supervisors_never_run_one_ceremony(tmp_path):
    folder = _made(tmp_path)
    with (
        folder.locked(),
        pytest.raises(CeremonyError, match="RF-RUN-003"),
        folder.locked(),
    ):
        pytest.fail("two supervisors in one ceremony")


def test_a_lock_is_free_again_afterwards(tmp_path):
    home = _made(tmp_path).operator("op-01")
    for _ in range(2):
        with home.locked():
            pass


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EROFS, "RF-DISK-002"), (errno.EACCES, "RF-DISK-002"), (errno.ENOSPC, "RF-DISK-001")],
)
def test_a_disk_that_refuses_is_explained(tmp_path, monkeypatch, number, code):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    folder = CeremonyFolder.named(tmp_path / "ceremonies", "one")
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(CeremonyError) as caught, folder.being_made(NAMES):
        pytest.fail("made a folder on such a disk")
    assert caught.value.code == code
    assert caught.value.next_step


def test_a_file_in_the_way_of_the_folder_is_explained(tmp_path):
    (tmp_path / "ceremonies").write_text("a file")
    folder = CeremonyFolder.named(tmp_path / "ceremonies", "one")
    with pytest.raises(CeremonyError, match="RF-DISK-002"), folder.being_made(NAMES):
        pytest.fail("made a folder inside a file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory_is_explained(tmp_path):
    directory = tmp_path / "ceremonies"
    directory.mkdir(mode=0o500)
    folder = CeremonyFolder.named(directory, "one")
    with pytest.raises(CeremonyError, match="RF-DISK-002"), folder.being_made(NAMES):
        pytest.fail("made a folder in a read-only directory")
