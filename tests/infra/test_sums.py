"""Noted sums: what is found is what was noted, or nothing."""

import errno
import os
import secrets

import numpy as np
import pytest

import infra.sums
from infra.sums import FileSums
from mpc_core.ring.galois import Ring

ONE, OTHER = bytes(32), bytes([1]) * 32
COUNT = 1000
rings = pytest.mark.parametrize("ring", [Ring(64, 3), Ring(128, 4)], ids=["narrow", "wide"])


@pytest.fixture
def sums(tmp_path):
    return FileSums(tmp_path / "sums", 2)


@pytest.fixture
def warnings(monkeypatch):
    """What the log was told."""
    said = []
    monkeypatch.setattr(infra.sums._log, "warning", lambda text, **_: said.append(text))
    return said


def words_of(ring, count=COUNT):
    shape = ring.shape(count)
    return np.frombuffer(secrets.token_bytes(8 * int(np.prod(shape))), np.uint64).reshape(shape)


def note(sums, words, context=ONE, step=300):
    sink = sums.begin(context, len(words))
    for first in range(0, len(words), step):
        part = words[first : first + step].copy()
        sink.write(first, part)
        part[:] = 0  # it is the writer's again


def found(source, ring, first, count):
    out = np.zeros(ring.shape(count), np.uint64)
    assert source.read(first, out)
    return out


@rings
def test_sums_are_found_in_any_order_and_across_parts(sums, ring):
    words = words_of(ring)
    note(sums, words)
    source = sums.find(ONE)
    for first, count in [(0, COUNT), (299, 2), (0, 1), (250, 700), (999, 1), (300, 300), (5, 0)]:
        assert np.array_equal(found(source, ring, first, count), words[first : first + count])


@rings
def test_another_context_finds_nothing(sums, ring):
    note(sums, words_of(ring))
    assert sums.find(OTHER) is None


def test_each_file_is_its_own_and_the_oldest_gives_way(sums):
    ring, contexts = Ring(64, 4), [bytes([number]) * 32 for number in range(3)]
    noted = [words_of(ring) for _ in contexts]
    for context, words in zip(contexts, noted, strict=True):
        note(sums, words, context)
    assert sums.find(contexts[0]) is None
    for context, words in zip(contexts[1:], noted[1:], strict=True):
        assert np.array_equal(found(sums.find(context), ring, 0, COUNT), words)


def test_one_that_gives_way_stays_readable_for_who_reads_it(sums):
    ring = Ring(64, 4)
    words = words_of(ring)
    note(sums, words)
    source = sums.find(ONE)
    sums.drop(ONE)
    for number in range(1, 5):
        note(sums, words_of(ring), bytes([number]) * 32)
    assert np.array_equal(found(source, ring, 0, COUNT), words)


def test_what_is_dropped_or_not_retained_is_gone(sums):
    ring = Ring(64, 4)
    for context in (ONE, OTHER):
        note(sums, words_of(ring), context)
    sums.retain({OTHER})
    assert sums.find(ONE) is None
    assert sums.find(OTHER) is not None
    sums.drop(OTHER)
    sums.drop(OTHER)
    assert sums.find(OTHER) is None


def test_incomplete_sums_are_not_found(sums):
    ring = Ring(64, 4)
    sink = sums.begin(ONE, COUNT)
    sink.write(0, words_of(ring, COUNT - 1))
    assert sums.find(ONE) is None
    sink.write(COUNT - 1, words_of(ring, 1))
    assert sums.find(ONE) is not None


def test_beginning_again_forgets_what_was_noted(sums):
    ring = Ring(64, 4)
    note(sums, words_of(ring))
    again = words_of(ring)
    sink = sums.begin(ONE, COUNT)
    assert sums.find(ONE) is None
    sink.write(0, again)
    assert np.array_equal(found(sums.find(ONE), ring, 0, COUNT), again)


@pytest.mark.parametrize("first", [0, 299, 301])
def test_no_sum_is_noted_twice_or_left_out(sums, first):
    ring = Ring(64, 4)
    sink = sums.begin(ONE, COUNT)
    sink.write(0, words_of(ring, 300))
    with pytest.raises(ValueError, match="follow"):
        sink.write(first, words_of(ring, 300))


@rings
@pytest.mark.parametrize("part", range(4))
def test_one_flipped_bit_is_noticed_and_the_batch_forgotten(sums, warnings, ring, part):
    words = words_of(ring)
    note(sums, words)
    source = sums.find(ONE)
    descriptor = sums._files[ONE].descriptor
    place = part * (300 * words[0].nbytes + 16) + 77
    byte = os.pread(descriptor, 1, place)[0]
    os.pwrite(descriptor, bytes([byte ^ 4]), place)
    out = np.empty_like(words)
    assert not source.read(0, out)
    assert not source.read(300 * ((part + 1) % 4), out[:1])
    assert sums.find(ONE) is None
    assert len(warnings) == 1


def test_a_torn_file_is_noticed(sums, warnings):
    ring = Ring(128, 4)
    words = words_of(ring)
    note(sums, words)
    source = sums.find(ONE)
    os.ftruncate(sums._files[ONE].descriptor, 300 * words[0].nbytes + 1000)
    assert not source.read(0, np.empty_like(words))
    assert len(warnings) == 1


def test_parts_that_changed_places_are_noticed(sums, warnings):
    ring = Ring(128, 4)
    words = words_of(ring, 600)
    note(sums, words)
    descriptor, size = sums._files[ONE].descriptor, 300 * words[0].nbytes + 16
    parts = [os.pread(descriptor, size, at * size) for at in range(2)]
    for at, part in enumerate(reversed(parts)):
        os.pwrite(descriptor, part, at * size)
    assert not sums.find(ONE).read(0, np.empty_like(words))
    assert len(warnings) == 1


def test_a_full_disk_forgets_the_batch_and_says_so_once(sums, warnings, monkeypatch):
    ring = Ring(64, 4)
    sink = sums.begin(ONE, COUNT)
    sink.write(0, words_of(ring, 300))

    def full(*_):
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(infra.sums, "append", full)
        sink.write(300, words_of(ring, 300))
    sink.write(600, words_of(ring, 400))
    assert sums.find(ONE) is None
    assert len(warnings) == 1


def test_a_disk_that_gives_no_file_is_said_once_and_notes_nothing(tmp_path, warnings):
    sums = FileSums(tmp_path / "sums", 2)
    (tmp_path / "sums").rmdir()
    assert sums.begin(ONE, COUNT) is None
    assert sums.find(ONE) is None
    assert len(warnings) == 1


def test_files_have_no_name_and_hold_no_sum_in_the_clear(sums, tmp_path):
    words = words_of(Ring(64, 4))
    note(sums, words)
    assert list((tmp_path / "sums").iterdir()) == []
    descriptor = sums._files[ONE].descriptor
    lying = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    assert len(lying) == words.nbytes + 4 * 16
    whole = words.tobytes()
    assert not any(whole[at : at + 8] in lying for at in range(0, len(whole), 8))


def test_the_same_sums_are_never_encrypted_alike(sums):
    words = words_of(Ring(64, 4))
    seen = []
    for _ in range(3):
        note(sums, words)
        seen.append(os.pread(sums._files[ONE].descriptor, 64, 0))
    assert len(set(seen)) == 3


def test_the_room_of_what_is_dropped_is_free_at_once(sums):
    note(sums, words_of(Ring(64, 4)))
    descriptor = sums._files[ONE].descriptor
    sums.drop(ONE)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
