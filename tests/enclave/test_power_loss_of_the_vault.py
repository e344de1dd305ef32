"""Whenever the power goes, a sealed vault in a directory is as before a change or after it."""

import pytest

from infra.enclave.kms.data_keys import Context
from infra.enclave.kms.sealing import Sealer
from infra.enclave.kms.vault import SealedVault
from infra.objects.folder import FolderObjects
from infra.stores import FileStore
from tests.support.power import STYLES, cut_and_resumed

SEALER = Sealer(b"k" * 32, Context(bytes(32), "op-02"))
CHANGES = (
    ("write", "witness", b"1"),
    ("write", "stage-keys/N", b"N"),
    ("write", "witness", b"2"),
    ("take", "passing-shares/N-0000", b"shares"),
    ("remove", "stage-keys/N", None),
    ("discard", "passing-shares/N-0000", None),
)


class Owner:
    """An operator whose vault is a directory on a disk, and what it knows to be stored."""

    def __init__(self, disk):
        self.disk = disk
        self.done = 0
        folder = disk.root / "vault"
        with disk.watched():
            SealedVault(FolderObjects(folder), SEALER).begin_again()
        for kind, name, data in CHANGES:
            if kind == "take":
                FileStore(disk.root / "work").write(name, data)

    def contents(self, changes):
        last = {name: data for _, name, data in CHANGES[:changes]}
        return {name: data for name, data in last.items() if data is not None}

    def work(self):
        """Go on with the changes from wherever the vault says that this operator is."""
        with self.disk.watched():
            vault = SealedVault(FolderObjects(self.disk.root / "vault"), SEALER)
            vault.load()
            names = {name for _, name, _ in CHANGES}
            found = {name: data for name in names if (data := vault.read(name)) is not None}
            assert found in (self.contents(self.done), self.contents(self.done + 1))
            self.done += found != self.contents(self.done)
            for kind, name, data in CHANGES[self.done :]:
                self.change(vault, kind, name, data)
                self.done += 1

    def change(self, vault, kind, name, data):
        match kind:
            case "write":
                vault.write(name, data)
            case "take":
                vault.take(FileStore(self.disk.root / "work"), name)
            case _:
                getattr(vault, kind)(name)


@pytest.mark.parametrize(
    "style",
    [pytest.param(each, marks=() if each == "mixed" else pytest.mark.long) for each in STYLES],
)
def test_nothing_that_was_stored_is_lost_and_nothing_removed_comes_back(
    tmp_path, monkeypatch, style
):
    for owner in cut_and_resumed(tmp_path, monkeypatch, style, Owner, 5 * len(CHANGES)):
        assert owner.done == len(CHANGES)
        left = FolderObjects(owner.disk.root / "vault").keys()
        assert len(left) == 1 + len(owner.contents(owner.done))
