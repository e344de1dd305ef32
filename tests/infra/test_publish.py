"""The public result: the same bytes whenever it is written, and a manifest that admits no other."""

from __future__ import annotations

import errno
import hashlib
import os
from collections import Counter
from dataclasses import replace

import pytest

from infra.plan import COORDINATOR
from infra.publish.manifest import (
    MANIFEST,
    OPENINGS,
    FileRecord,
    Keeps,
    check_signature,
    is_cut_short,
    parse_manifest,
    sign_manifest,
)
from infra.publish.streamed import streamed
from infra.verify import Outcome, verify
from mpc_core.protocol.errors import CeremonyError
from tests.support.published import undisturbed


class StoppedError(Exception):
    """Stands for a process that dies."""


@pytest.fixture(scope="module")
def finished():
    return undisturbed()


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# -- writing --------------------------------------------------------------------------------------


def test_publishing_twice_and_elsewhere_gives_the_same_bytes(finished, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        finished.publish(tmp_path / name)
    before = contents(tmp_path / "one")
    finished.publish(tmp_path / "one")
    assert contents(tmp_path / "one") == before == contents(tmp_path / "two")


@pytest.mark.parametrize("steps", [0, 5, 31, 32])
def test_a_publication_that_died_is_incomplete_and_ends_the_same_when_repeated(
    steps, finished, tmp_path
):
    whole, died = tmp_path / "whole", tmp_path / "died"
    whole.mkdir()
    died.mkdir()
    finished.publish(whole)
    left = iter(range(steps))

    def tick():
        if next(left, None) is None:
            raise StoppedError

    with pytest.raises(StoppedError):
        finished.publish(died, tick=tick)
    assert verify(died).outcome is Outcome.INCOMPLETE
    (died / "keyset" / ".CompactPublicKey.abc.tmp").write_bytes(b"half")
    (died / "transcript" / "openings" / ".N-0000.abc.tmp").write_bytes(b"half")
    finished.publish(died)
    assert contents(died) == contents(whole)


def test_a_publication_that_dies_over_a_finished_one_never_looks_invalid(finished, tmp_path):
    finished.publish(tmp_path)
    with pytest.raises(StoppedError):
        finished.publish(tmp_path, opening=_dies)
    assert verify(tmp_path).outcome is Outcome.INCOMPLETE


def test_a_disk_that_refuses_is_an_error_that_says_so(finished, tmp_path):
    (tmp_path / "keyset").write_bytes(b"in the way")
    with pytest.raises(CeremonyError) as caught:
        finished.publish(tmp_path)
    assert caught.value.code == "RF-DISK-002"


def _dies(_):
    raise StoppedError


# -- opened values, which are most of it ----------------------------------------------------------


@pytest.fixture
def stored(finished, tmp_path):
    """The ceremony with its opened values in the files of an outbox."""
    finished = replace(finished)
    (tmp_path / "outbox").mkdir()
    finished.store(tmp_path / "outbox")
    for path in (tmp_path / "outbox").iterdir():
        path.chmod(0o600)
    (tmp_path / "result").mkdir()
    return finished


def openings_in(folder):
    return sorted((folder / OPENINGS).iterdir())


def test_opened_values_are_links_to_what_is_there_and_anybody_may_read_them(stored, tmp_path):
    result = tmp_path / "result"
    for _ in range(2):
        stored.publish(result)
        for path in openings_in(result):
            name = stored.root_of(("N", 0)).hex() if path.name == "N-0000" else None
            assert path.stat().st_nlink == 2
            assert path.stat().st_mode & 0o777 == 0o644
            assert name is None or path.samefile(tmp_path / "outbox" / name)
    assert verify(result).outcome is Outcome.OK


@pytest.mark.parametrize("reason", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_opened_values_are_copied_where_there_can_be_no_links(
    reason, stored, tmp_path, monkeypatch
):
    def refuse(*_):
        raise OSError(reason, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    stored.publish(tmp_path / "result")
    assert all(path.stat().st_nlink == 1 for path in openings_in(tmp_path / "result"))
    assert verify(tmp_path / "result").outcome is Outcome.OK


def test_a_link_that_a_full_disk_refuses_is_an_error(stored, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(CeremonyError, match="RF-DISK-001"):
        stored.publish(tmp_path / "result")


def test_what_is_published_stays_when_the_outbox_is_emptied(stored, tmp_path):
    stored.publish(tmp_path / "result")
    for path in (tmp_path / "outbox").iterdir():
        path.unlink()
    assert verify(tmp_path / "result").outcome is Outcome.OK


def test_a_publication_with_fewer_openings_leaves_none_of_an_earlier_attempt(finished, tmp_path):
    finished.publish(tmp_path)
    finished.publish(tmp_path, keeps=Keeps.ASSEMBLY)
    assert {path.name[0] for path in openings_in(tmp_path)} == {"O"}
    assert verify(tmp_path).outcome is Outcome.OK


def test_an_opened_value_that_makes_no_part_of_the_key_set_is_asked_for_once(finished, tmp_path):
    state, asked = finished.state(), Counter()

    def opening(key):
        asked[key] += 1
        return finished.opened(state.opening(key).v_root)

    finished.publish(tmp_path, opening=opening)
    offline = [count for key, count in asked.items() if key[0] != "O"]
    assert offline == [1] * len(offline)
    assert asked["O", 1] > 1


def test_a_long_file_ticks_while_it_grows(tmp_path):
    ticks = []
    with streamed(tmp_path / "long", lambda: ticks.append(1)) as written:
        for _ in range(5):
            written.write(bytes(1 << 23))
    assert len(ticks) == 2
    assert (written.size, written.sha256) == (5 << 23, hashlib.sha256(bytes(5 << 23)).digest())
    assert (tmp_path / "long").stat().st_size == 5 << 23


# -- the manifest ---------------------------------------------------------------------------------


@pytest.fixture
def manifest(finished):
    files = [
        FileRecord("transcript/checkpoint.note", 410, bytes(range(32))),
        FileRecord("keyset/CompactPublicKey", 8458, bytes(32)),
    ]
    return sign_manifest(finished.plan, Keeps.ALL, files, finished.key(COORDINATOR))


def accepted(data, plan):
    try:
        check_signature(plan, parse_manifest(data))
    except CeremonyError as error:
        return error.code != "RF-VERIFY-005"
    return True


def test_a_manifest_says_what_was_signed_in_the_order_of_the_paths(manifest, finished):
    assert accepted(manifest, finished.plan)
    paths = [record.path for record in parse_manifest(manifest).files]
    assert paths == ["keyset/CompactPublicKey", "transcript/checkpoint.note"]


def test_no_other_byte_anywhere_in_a_manifest_is_accepted_or_taken_for_a_short_copy(
    manifest, finished
):
    for at in range(len(manifest)):
        for bit in (1, 4, 32):
            altered = bytearray(manifest)
            altered[at] ^= bit
            assert not accepted(bytes(altered), finished.plan), at
            assert not is_cut_short(bytes(altered)), at


def test_every_beginning_of_a_manifest_is_recognised_as_cut_short(manifest):
    assert all(is_cut_short(manifest[:length]) for length in range(len(manifest)))
    assert not is_cut_short(manifest)


@pytest.mark.parametrize("path", ["../plan.toml", "/etc/passwd", "keyset/./x", "keyset//x"])
def test_a_manifest_that_leaves_its_folder_is_refused(path, finished):
    files = [FileRecord(path, 1, bytes(32))]
    data = sign_manifest(finished.plan, Keeps.ALL, files, finished.key(COORDINATOR))
    assert not accepted(data, finished.plan)


def test_a_published_manifest_lists_every_public_file(finished, tmp_path):
    finished.publish(tmp_path)
    listed = {record.path for record in parse_manifest((tmp_path / MANIFEST).read_bytes()).files}
    assert listed | {MANIFEST} == contents(tmp_path).keys()
