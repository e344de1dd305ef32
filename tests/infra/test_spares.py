"""Files are written over only when nobody can read them any more, and show no old byte."""

from __future__ import annotations

import gc
import os

import pytest

from infra.files import mapped
from infra.spares import SpareFiles
from infra.stores import BlobStore
from infra.transport.fetch import fetch_blob
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox, make_app
from mpc_core.protocol.merkle import chunk_root
from tests.support.transport import QUICK, calling, serving

LEAF = 4096
OLD, NEW = b"old" * 20_000, b"new bytes" * 1_000


@pytest.fixture
def spares(tmp_path):
    return SpareFiles(tmp_path, ".spare-", 2)


@pytest.fixture
def old(tmp_path):
    """Return a file with old bytes."""

    def make(name="file"):
        path = tmp_path / name
        path.write_bytes(OLD)
        return path

    return make


def test_a_file_that_nobody_needs_is_found_under_another_name_only(spares, old):
    path = old()
    spares.put(path)
    assert not path.exists()
    taken = spares.take()
    assert taken is not None
    assert taken.read_bytes() == OLD
    assert spares.take() is None, "nobody else gets the same file"


def test_a_file_that_is_read_is_never_written_over(spares, old):
    path = old()
    view = mapped(path)[3:9]
    spares.put(path)
    assert not path.exists()
    assert spares.take() is None
    assert view == OLD[3:9]
    del view
    gc.collect()
    spares.put(old())
    assert spares.take() is not None


def test_a_file_with_another_name_is_never_written_over(spares, old, tmp_path):
    path = old()
    os.link(path, tmp_path / "other")
    spares.put(path)
    assert not path.exists()
    assert spares.take() is None
    assert (tmp_path / "other").read_bytes() == OLD


def test_only_a_few_are_kept_and_a_file_that_is_gone_is_none(spares, old, tmp_path):
    for name in ("one", "two", "three"):
        spares.put(old(name))
    spares.put(tmp_path / "gone")
    assert len(list(tmp_path.iterdir())) == 2
    assert spares.take() != spares.take()
    assert spares.take() is None


def test_spares_go_with_the_process(spares, old, tmp_path):
    spares.put(old())
    del spares
    # pytest holds the fixture's value, so what runs at the end of the process is called here
    from weakref import finalize

    for each in list(finalize._registry):
        if each.alive and each.peek()[1].__module__ == "infra.spares":
            each()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("first", [OLD, NEW])
def test_a_blob_in_a_spare_file_has_its_own_bytes_only(tmp_path, first):
    second = NEW if first is OLD else OLD
    blobs = BlobStore(Outbox(tmp_path / "outbox", SentLedger(tmp_path / "sent.json")), LEAF)
    root = blobs.publish(first, "N")
    inode = blobs.path(root, "N").stat().st_ino
    blobs.remove(root)
    assert not blobs.has(root)
    root = blobs.publish(second, "N")
    assert blobs.path(root, "N").stat().st_ino == inode, "the same file again"
    assert blobs.path(root, "N").read_bytes() == second == blobs.read(root)


@pytest.mark.parametrize("served", [OLD, NEW])
def test_a_blob_that_is_fetched_into_a_spare_file_has_its_own_bytes_only(
    world, tmp_path, spares, old, served
):
    outbox = Outbox(tmp_path / "outbox", SentLedger(tmp_path / "sent.json"))
    root = chunk_root(served, LEAF)
    outbox.path(root, "N").write_bytes(served)
    file = old()
    inode = file.stat().st_ino
    spares.put(file)
    app = make_app(world.identity("op-01"), outbox)
    with (
        serving(app, world.identity("op-01")) as port,
        calling(world.identity("op-02"), "op-01", port, QUICK) as peer,
    ):
        target = tmp_path / "target"
        fetch_blob(peer, root, len(served), LEAF, target, spares=spares)
    assert target.read_bytes() == served
    assert target.stat().st_ino == inode
