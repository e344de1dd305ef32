import pytest

from infra.stores import BlobStore, FileStore
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox
from mpc_core.protocol.errors import CeremonyError

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
