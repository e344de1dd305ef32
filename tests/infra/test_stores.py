import numpy as np
import pytest

import infra.stores
from infra.shared import SharedOpenings
from infra.stores import BlobStore, FileStore
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root

LEAF_BYTES = 64
DATA = bytes(range(200))


@pytest.fixture
def blobs(tmp_path):
    return BlobStore(Outbox(tmp_path / "outbox", SentLedger(tmp_path / "sent.json")), LEAF_BYTES)


def test_a_blob_is_read_back_by_its_root(blobs):
    root = blobs.publish(DATA, "N")
    assert blobs.has(root)
    assert blobs.read(root) == blobs.read_if_here(root) == DATA


@pytest.mark.parametrize("damage", [DATA[:-1], DATA[:100] + b"\0" + DATA[101:], b""])
def test_a_damaged_blob_counts_as_absent_and_is_removed(blobs, damage):
    root = blobs.publish(DATA, "N")
    blobs.path(root, "N").write_bytes(damage)
    assert blobs.read_if_here(root) is None
    assert not blobs.has(root)
    with pytest.raises(CeremonyError, match="RF-DISK-011"):
        blobs.read(root)
    assert blobs.publish(DATA, "N") == root
    assert blobs.read(root) == DATA


@pytest.fixture
def checks(monkeypatch):
    """Count how often a whole blob is hashed."""
    counted = []

    def seen(data, leaf_bytes):
        counted.append(len(data))
        return chunk_root(data, leaf_bytes)

    monkeypatch.setattr(infra.stores, "leaf_root", seen)
    return counted


def files_of(tmp_path):
    return sorted(path.name for path in (tmp_path / "outbox").rglob("*") if path.is_file())


def test_a_staged_blob_is_seen_by_nobody_before_it_is_kept(blobs, tmp_path):
    staged = blobs.stage(DATA[at : at + 30] for at in range(0, len(DATA), 30))
    assert (staged.root, staged.size) == (chunk_root(DATA, LEAF_BYTES), len(DATA))
    assert staged.read() == DATA
    assert not blobs.has(staged.root)
    staged.keep("N")
    assert blobs.read(staged.root) == staged.read() == DATA
    path = blobs.path(staged.root, "N")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert files_of(tmp_path) == [staged.root.hex()]


def test_a_producer_may_use_its_buffer_again_for_the_next_piece(blobs):
    def pieces():
        buffer = np.zeros(50, np.uint8)
        for number in range(4):
            buffer[:] = number
            yield memoryview(buffer)

    expected = b"".join(bytes([number]) * 50 for number in range(4))
    staged = blobs.stage(pieces())
    assert (staged.root, bytes(staged.read())) == (chunk_root(expected, LEAF_BYTES), expected)


def test_what_is_discarded_or_breaks_off_leaves_nothing(blobs, tmp_path):
    staged = blobs.stage([DATA])
    seen = staged.read()
    staged.discard()
    assert seen == DATA

    def breaks():
        yield DATA
        raise CeremonyError("RF-BATCH-002", "no opening")

    with pytest.raises(CeremonyError, match="RF-BATCH-002"):
        blobs.stage(breaks())
    assert files_of(tmp_path) == []


def test_what_a_crash_left_staged_is_swept(blobs, tmp_path):
    kept = blobs.publish(DATA, "N")
    blobs.stage([DATA])
    assert len(files_of(tmp_path)) == 2
    blobs.sweep()
    assert files_of(tmp_path) == [kept.hex()]


def test_an_empty_blob_is_kept_and_read(blobs):
    root = blobs.publish(b"", "N")
    assert (root, blobs.read(root)) == (chunk_root(b"", LEAF_BYTES), b"")


def test_maps_outlive_the_removal_of_their_blob(blobs):
    root = blobs.publish(DATA, "N")
    seen = blobs.read(root)
    blobs.remove(root)
    assert not blobs.has(root)
    assert seen == DATA
    with pytest.raises(TypeError):
        seen[0] = 1
    blobs.remove(root)


def test_a_blob_is_checked_once_in_a_process_and_again_when_its_file_changed(
    blobs, tmp_path, checks
):
    root = blobs.publish(DATA, "N")
    for _ in range(3):
        assert blobs.read(root) == DATA
    assert checks == []
    next_process = BlobStore(Outbox(tmp_path / "outbox", SentLedger(tmp_path / "x")), LEAF_BYTES)
    for _ in range(3):
        assert next_process.read(root) == DATA
    assert checks == [len(DATA)]
    blobs.path(root, "N").unlink()
    blobs.path(root, "N").write_bytes(b"y" + DATA[1:])
    assert next_process.read_if_here(root) is None
    assert checks == [len(DATA)] * 2
    assert not next_process.has(root)


def test_a_shared_blob_is_one_file_for_all_parties_and_goes_with_the_last(tmp_path):
    shared = tmp_path / "shared"
    parties = [
        BlobStore(
            Outbox(tmp_path / name, SentLedger(tmp_path / "sent.json")),
            LEAF_BYTES,
            shared=SharedOpenings(shared),
        )
        for name in ("one", "two")
    ]
    for party in parties:
        opening = party.stage([DATA])
        opening.keep("N", shared=True)
        party.publish(DATA[1:], "N")
    assert [path.name for path in shared.iterdir()] == [opening.root.hex()]
    one, two = (party.path(opening.root, "N") for party in parties)
    assert one.samefile(two)
    for party in parties:
        assert party.read(opening.root) == DATA
        party.remove(opening.root)
    assert list(shared.iterdir()) == []


def test_whoever_waits_hears_of_an_own_blob(tmp_path):
    heard = []
    outbox = Outbox(tmp_path / "outbox", SentLedger(tmp_path / "sent.json"))
    blobs = BlobStore(outbox, LEAF_BYTES, lambda: heard.append(blobs.has(staged.root)))
    staged = blobs.stage([DATA])
    assert heard == []
    staged.keep("N")
    assert heard == [True]


def test_secrets_in_writes_that_a_crash_broke_off_are_overwritten_at_the_next_start(tmp_path):
    vault = FileStore(tmp_path / "vault")
    vault.write("stage-keys/N", b"kept")
    left = [tmp_path / "vault" / ".a.x1.tmp", tmp_path / "vault" / "stage-keys" / ".N.x2.tmp"]
    for path in left:
        path.write_bytes(b"secret")
    seen = [path.open("rb") for path in left]
    vault.sweep()
    for path, file in zip(left, seen, strict=True):
        with file:
            assert file.read() == bytes(len(b"secret"))
        assert not path.exists()
    assert vault.read("stage-keys/N") == b"kept"


@pytest.mark.parametrize("damage", [None, b"\1" + DATA[1:], DATA[:-1]])
def test_a_copy_of_another_party_is_taken_over_only_if_it_is_right(tmp_path, damage):
    shared = SharedOpenings(tmp_path / "shared")

    def store_of(party):
        outbox = Outbox(tmp_path / party, SentLedger(tmp_path / f"{party}.json"))
        return BlobStore(outbox, LEAF_BYTES, shared=shared)

    one, other = store_of("op-01"), store_of("coordinator")
    staged = one.stage([DATA])
    assert not other.adopt(staged.root, len(DATA), "N")
    staged.keep("N", shared=True)
    if damage is not None:
        (tmp_path / "shared" / staged.root.hex()).write_bytes(damage)
    assert other.adopt(staged.root, len(DATA), "N") == (damage is None)
    assert other.has(staged.root) == (damage is None)


def test_a_party_that_shares_nothing_takes_nothing_over(blobs):
    assert not blobs.adopt(bytes(32), len(DATA), "N")
