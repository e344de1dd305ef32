"""Archives are functions of their entries, whoever makes them, where and when."""

import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from infra.image.archives import cpio_of, tar_of
from infra.image.entries import Entry, Form, directory, file, files_below, files_of_tar, in_order
from mpc_core.protocol.errors import CeremonyError
from tests.image.unpacked import unpacked

EPOCH = 1_767_225_600
MAKE = """
import os, sys, time
from pathlib import Path
os.umask(int(sys.argv[2], 8))
from infra.image.archives import tar_of
from infra.image.entries import files_below
root = Path(sys.argv[1])
(root / "code" / "pkg").mkdir(parents=True)
(root / "code" / "__pycache__").mkdir()
(root / "code" / "__pycache__" / "a.pyc").write_bytes(os.urandom(9))
(root / "code" / ".hidden").write_bytes(os.urandom(9))
names = ["b.py", "a.py", "pkg/run.sh"]
for name in names if sys.argv[3] == "forwards" else reversed(names):
    path = root / "code" / name
    path.write_text(name)
    os.utime(path, (time.time(), float(sys.argv[4])))
(root / "code" / "pkg" / "run.sh").chmod(0o777 & ~int(sys.argv[2], 8))
sys.stdout.buffer.write(b"".join(tar_of(files_below(root, ["code"]), 1767225600)))
"""


def _made(folder, umask, order, mtime, zone):
    command = [sys.executable, "-c", MAKE, str(folder), umask, order, mtime]
    here = Path(__file__).parents[2]
    environment = {**os.environ, "TZ": zone, "PYTHONPATH": str(here)}
    return subprocess.run(command, env=environment, cwd="/", check=True, capture_output=True).stdout


def test_two_builds_in_other_folders_umasks_zones_and_times_give_the_same_bytes(tmp_path):
    one = _made(tmp_path / "one", "077", "forwards", "0", "UTC")
    other = _made(tmp_path / "a" / "longer" / "two", "002", "backwards", "2e9", "Asia/Kolkata")
    assert one == other
    with tarfile.open(fileobj=io.BytesIO(one)) as archive:
        members = {each.name: each for each in archive}
    assert list(members) == ["code", "code/a.py", "code/b.py", "code/pkg", "code/pkg/run.sh"]
    assert members["code/a.py"].mode == 0o644
    assert members["code/pkg/run.sh"].mode == members["code"].mode == 0o755
    assert {(each.mtime, each.uid, each.gid, each.uname) for each in members.values()} == {
        (EPOCH, 0, 0, "")
    }


ENTRIES = [
    file("usr/bin/program", b"#!", executable=True),
    file("usr/text", b"12345"),
    directory("tmp"),
    Entry("usr/link", Form.LINK, 0o777, memoryview(b"bin/program")),
    file("usr/n\u00e4me", b""),
]


def test_a_cpio_says_what_its_entries_are():
    archive = b"".join(cpio_of(ENTRIES, EPOCH))
    assert len(archive) % 512 == 0
    found = unpacked(archive)
    assert list(found) == [
        "tmp",
        "usr",
        "usr/bin",
        "usr/bin/program",
        "usr/link",
        "usr/n\u00e4me",
        "usr/text",
    ]
    assert found["usr/bin/program"].mode == stat.S_IFREG | 0o755
    assert found["usr/link"].mode == stat.S_IFLNK | 0o777
    assert found["usr/link"].data == b"bin/program"
    assert found["tmp"].mode == stat.S_IFDIR | 0o755
    assert found["usr/text"].data == b"12345"
    assert {(each.owner, each.mtime) for each in found.values()} == {((0, 0), EPOCH)}


def test_gnu_cpio_unpacks_it(tmp_path):
    program = shutil.which("cpio")
    assert program, "install the Debian package cpio"
    archive = b"".join(cpio_of(ENTRIES, EPOCH))
    command = [
        program,
        "--extract",
        "--make-directories",
        "--preserve-modification-time",
        "--quiet",
    ]
    subprocess.run(command, input=archive, cwd=tmp_path, check=True)
    assert (tmp_path / "usr" / "link").read_bytes() == b"#!"
    assert (tmp_path / "usr" / "text").stat().st_mtime == EPOCH
    assert os.access(tmp_path / "usr" / "bin" / "program", os.X_OK)


def test_the_order_in_which_entries_come_does_not_matter():
    for write in (tar_of, cpio_of):
        one, other = (b"".join(write(each, EPOCH)) for each in (ENTRIES, ENTRIES[::-1]))
        assert one == other


@pytest.mark.parametrize(
    "entries",
    [
        [file("a", b""), file("a", b"")],
        [file("a", b""), file("a/b", b"")],
        [file("/a", b"")],
        [file("a/../b", b"")],
        [file("a//b", b"")],
        [file("", b"")],
        [file("a" * 1025, b"")],
        [file("a\0", b"")],
    ],
    ids=range(8),
)
def test_paths_that_leave_the_root_or_clash_are_refused(entries):
    with pytest.raises(CeremonyError, match="RF-IMAGE-006"):
        in_order(entries)


def _tar(path, *members):
    with tarfile.open(path, "w") as archive:
        for name, changes, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mtime, info.uid, info.uname, info.mode = 1, 1000, "builder", 0o4750
            for field, value in changes.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_the_entries_of_a_tar_lose_what_differs_by_builder(tmp_path):
    path = _tar(
        tmp_path / "root.tar",
        ("./", {"type": tarfile.DIRTYPE}, b""),
        ("./usr/bin/program", {}, b"program"),
        ("./usr/bin/same", {"type": tarfile.LNKTYPE, "linkname": "usr/bin/program"}, b""),
        ("./usr/lib/__pycache__/a.pyc", {}, b"compiled"),
        ("./dev/console", {"type": tarfile.CHRTYPE}, b""),
        ("./tmp", {"type": tarfile.DIRTYPE, "mode": 0o41777}, b""),
        ("./usr/link", {"type": tarfile.SYMTYPE, "linkname": "bin/program"}, b""),
        ("./usr/text", {"mode": 0o640}, b"text"),
    )
    found = {each.path: each for each in files_of_tar(path, without=("dev",))}
    assert list(found) == ["usr/bin/program", "usr/bin/same", "tmp", "usr/link", "usr/text"]
    assert bytes(found["usr/bin/same"].data) == b"program"
    assert bytes(found["usr/link"].data) == b"bin/program"
    assert [each.permissions for each in found.values()] == [0o755, 0o755, 0o755, 0o777, 0o644]


@pytest.mark.parametrize(
    "changes",
    [
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.FIFOTYPE},
        {"type": tarfile.LNKTYPE, "linkname": "elsewhere"},
    ],
    ids=["device", "pipe", "hard link to nothing"],
)
def test_what_an_image_does_not_have_is_refused(tmp_path, changes):
    path = _tar(tmp_path / "root.tar", ("thing", changes, b""))
    with pytest.raises(CeremonyError, match="RF-IMAGE-006"):
        list(files_of_tar(path))


def test_a_link_among_the_sources_is_refused(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "link").symlink_to("/etc/passwd")
    with pytest.raises(CeremonyError, match="RF-IMAGE-006"):
        list(files_below(tmp_path, ["code"]))


def test_a_missing_source_and_a_file_that_is_no_tar_are_refused(tmp_path):
    (tmp_path / "text").write_text("no archive")
    for read in (lambda: files_below(tmp_path, ["code"]), lambda: files_of_tar(tmp_path / "text")):
        with pytest.raises(CeremonyError, match="RF-IMAGE-003"):
            list(read())
