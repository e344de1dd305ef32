import errno
import os
import stat
from pathlib import Path

import pytest

from infra.files import (
    SECRET_FILE,
    append,
    disk_errors,
    equal,
    make_directory,
    mapped,
    move,
    replace_durably,
    write_atomic,
)
from mpc_core.protocol.errors import CeremonyError


def test_a_file_gets_its_content_and_exactly_its_mode(tmp_path):
    path = tmp_path / "key"
    write_atomic(path, b"old")
    write_atomic(path, b"new", SECRET_FILE)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_a_private_directory_is_closed_to_others_even_if_it_was_open(tmp_path):
    path = tmp_path / "home" / "vault"
    path.mkdir(parents=True, mode=0o755)
    assert make_directory(path) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "RF-DISK-001"),
        (errno.EROFS, "RF-DISK-002"),
        (errno.EACCES, "RF-DISK-002"),
    ],
)
def test_a_disk_that_fails_halfway_leaves_the_old_content_and_no_rubbish(
    tmp_path, monkeypatch, number, code
):
    path = tmp_path / "state"
    write_atomic(path, b"old")

    def fail(_descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CeremonyError) as caught:
        write_atomic(path, b"new")
    monkeypatch.undo()
    assert caught.value.code == code
    assert caught.value.next_step
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_a_missing_directory_is_reported_with_a_next_step(tmp_path):
    with pytest.raises(CeremonyError) as caught:
        write_atomic(tmp_path / "nowhere" / "file", b"")
    assert caught.value.code == "RF-DISK-002"
    assert "ENOENT" in caught.value.found


def test_a_full_disk_is_reported_as_full(tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with (
        pytest.raises(CeremonyError) as caught,
        disk_errors(tmp_path / "file"),
        full.open("wb", buffering=0) as file,
    ):
        file.write(b"x")
    assert caught.value.code == "RF-DISK-001"


def test_content_and_name_are_synced_in_this_order(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def seen(descriptor):
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(kind)
        fsync(descriptor)

    def moved(*names):
        steps.append("rename")
        replace(*names)

    monkeypatch.setattr(os, "fsync", seen)
    monkeypatch.setattr(os, "replace", moved)
    write_atomic(tmp_path / "a", b"1")
    (tmp_path / "b.part").write_bytes(b"2")
    replace_durably(tmp_path / "b.part", tmp_path / "b")
    assert steps == ["file", "rename", "directory"] * 2
    assert (tmp_path / "b").read_bytes() == b"2"


def test_every_byte_of_every_piece_is_appended(tmp_path):
    pieces = [bytes([number % 251]) * (number % 7) for number in range(3000)]
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    append(descriptor, [])
    append(descriptor, pieces)
    append(descriptor, [memoryview(b"end")])
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"".join(pieces) + b"end"


def test_a_short_write_is_continued(tmp_path, monkeypatch):
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda file, pieces: writev(file, [pieces[0][:2]]))
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    append(descriptor, [b"12345", b"6", b"789"])
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"123456789"


def test_a_map_outlives_its_file_and_links_are_not_followed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    seen = mapped(path)
    path.unlink()
    assert seen == b"content"
    path.write_bytes(b"")
    assert mapped(path) == b""
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError, match="ymbolic"):
        mapped(tmp_path / "link")


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_equal_means_the_same_length_and_bytes(size):
    data = os.urandom(size)
    one = memoryview(data)
    assert equal(one, memoryview(bytearray(data)))
    assert not equal(one, memoryview(data + b"x"))
    for at in {0, size // 2, size - 1} if size else ():
        other = bytearray(data)
        other[at] ^= 1
        assert not equal(one, memoryview(other))


def test_a_file_that_has_its_name_already_loses_the_other_one(tmp_path):
    path, other = tmp_path / "path", tmp_path / "other"
    path.write_bytes(b"content")
    os.link(path, other)
    move(other, path)
    assert [each.name for each in tmp_path.iterdir()] == ["path"]
    assert path.read_bytes() == b"content"
