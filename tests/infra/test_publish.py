"""The public result: the same bytes whenever it is written, and a manifest that admits no other."""

from __future__ import annotations

import pytest

from infra.plan import COORDINATOR
from infra.publish.manifest import (
    MANIFEST,
    FileRecord,
    Keeps,
    check_signature,
    is_cut_short,
    parse_manifest,
    sign_manifest,
)
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
