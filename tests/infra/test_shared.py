"""Opened values that parties of one machine keep once."""

import errno
import multiprocessing
import os

import pytest

from infra.shared import SharedOpenings

ROOT = bytes(range(32))
DATA = bytes(range(256)) * 1000


@pytest.fixture
def store(tmp_path):
    return SharedOpenings(tmp_path / "shared")


def stored(tmp_path):
    return tmp_path / "shared" / ROOT.hex()


def party(tmp_path, name, data=DATA):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "value").write_bytes(data)
    return folder / "value"


def no_link(*_names, **_options):
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def test_the_copies_of_all_parties_become_one_file(store, tmp_path):
    paths = [party(tmp_path, name) for name in ("op-01", "op-02", "op-03")]
    for path in paths:
        store.add(ROOT, path)
        store.add(ROOT, path)
    assert len({path.stat().st_ino for path in (*paths, stored(tmp_path))}) == 1
    assert all(path.read_bytes() == DATA for path in paths)
    assert [len(list(path.parent.iterdir())) for path in (*paths, stored(tmp_path))] == [1] * 4


def test_processes_that_add_the_same_value_at_once_share_it(tmp_path):
    fork = multiprocessing.get_context("fork")
    paths = [party(tmp_path, f"op-{number}") for number in range(4)]
    for _ in range(10):
        stored(tmp_path).unlink(missing_ok=True)
        for path in paths:
            path.unlink()
            path.write_bytes(DATA)
        together = fork.Barrier(len(paths))

        def add(path, together=together):
            store = SharedOpenings(tmp_path / "shared")
            together.wait()
            store.add(ROOT, path)

        processes = [fork.Process(target=add, args=(path,)) for path in paths]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * len(paths)
        assert {path.stat().st_ino for path in paths} == {stored(tmp_path).stat().st_ino}
        assert {path.read_bytes() for path in paths} == {DATA}
        assert len(list(stored(tmp_path).parent.iterdir())) == 1


def test_a_damaged_stored_copy_gives_way_to_the_verified_one(store, tmp_path):
    first = party(tmp_path, "op-01")
    store.add(ROOT, first)
    seen = store.borrow(ROOT, len(DATA), tmp_path / "seen")
    stored(tmp_path).unlink()
    stored(tmp_path).write_bytes(b"x" + DATA[1:])
    second = party(tmp_path, "op-02")
    store.add(ROOT, second)
    assert stored(tmp_path).samefile(second)
    assert stored(tmp_path).read_bytes() == second.read_bytes() == seen == DATA


def test_a_borrowed_copy_stays_when_it_is_removed_from_the_store(store, tmp_path):
    store.add(ROOT, party(tmp_path, "op-01"))
    link = tmp_path / "link"
    link.write_bytes(b"left by a crash")
    known = store.borrow(ROOT, len(DATA), link)
    stored(tmp_path).unlink()
    assert link.read_bytes() == known == DATA


def test_nothing_is_borrowed_that_is_not_there_or_has_another_size(store, tmp_path):
    assert store.borrow(ROOT, len(DATA), tmp_path / "link") is None
    store.add(ROOT, party(tmp_path, "op-01"))
    assert store.borrow(ROOT, len(DATA) + 1, tmp_path / "link") is None
    assert not (tmp_path / "link").exists()


def test_a_store_on_another_file_system_gets_a_copy(store, tmp_path, monkeypatch):
    path = party(tmp_path, "op-01")
    monkeypatch.setattr(os, "link", no_link)
    store.add(ROOT, path)
    assert stored(tmp_path).read_bytes() == path.read_bytes() == DATA
    assert not stored(tmp_path).samefile(path)
    assert store.borrow(ROOT, len(DATA), tmp_path / "link") is None
    assert len(list(stored(tmp_path).parent.iterdir())) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMLINK, errno.EPERM])
def test_who_cannot_share_keeps_an_own_copy(store, tmp_path, monkeypatch, number):
    path = party(tmp_path, "op-01")

    def fail(*_names, **_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fail)
    store.add(ROOT, path)
    assert path.read_bytes() == DATA
    assert not stored(tmp_path).exists()


def test_the_last_party_takes_the_stored_copy_along(store, tmp_path):
    paths = [party(tmp_path, name) for name in ("op-01", "op-02")]
    for path in paths:
        store.add(ROOT, path)
    for path in paths:
        assert stored(tmp_path).exists()
        path.unlink()
        store.tidy(ROOT)
    assert not stored(tmp_path).exists()
    store.tidy(ROOT)
