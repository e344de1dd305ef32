"""A disk that loses power after the k-th operation, and an operator that works on it.

The disk is a real folder. What has reached it for good is what `fsync` was called for: the content
of a file, and the names in a directory. Everything else is lost, late or torn after a power loss,
and a file system may choose which, name by name and file by file:

- "lost": of names and contents only what was synced is there;
- "late": all names are there, contents that were not synced are torn;
- "mixed": either, by chance, for each name and file.

Torn content is nothing, the first half, or zeros of the full length.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.drill.party import Party
from infra.stores import BlobStore, FileStore
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox
from mpc_core.protocol.entries import Contribution, KemKey

if TYPE_CHECKING:
    from collections.abc import Iterator

STYLES = ("lost", "late", "mixed")
_HOOKED = ("fsync", "replace", "rename", "unlink", "link", "writev", "mkdir", "ftruncate")


def cut_and_resumed(tmp_path, monkeypatch, style, make, least):
    """Yield a worker for every operation that the power goes at, when it has gone on to the end.

    Args:
        tmp_path: where their disks lie.
        monkeypatch: of pytest.
        style: of the power loss.
        make: returns a worker on a disk, with `work()` and `disk`.
        least: so many operations and more are expected of an undisturbed one.
    """
    undisturbed = make(Disk(tmp_path / "calm", monkeypatch))
    made = undisturbed.disk.operations
    undisturbed.work()
    total = undisturbed.disk.operations
    assert total - made > least
    for cut in range(made, total):
        worker = make(Disk(tmp_path / f"cut-{cut}", monkeypatch, seed=cut))
        worker.disk.cut_at = cut
        with pytest.raises(PowerCut):
            worker.work()
        worker.disk.lose_power(style)
        worker.work()
        yield worker


class PowerCut(BaseException):
    """The power is gone; whatever the process does from here on never happens."""


class Disk:
    """A folder, what of it would survive a power loss now, and when the power goes."""

    def __init__(self, root: Path, monkeypatch, seed: int = 0) -> None:
        self.root = root.resolve()
        self.root.mkdir()
        self.operations = 0
        self.cut_at: int | None = None
        self.is_off = False
        self._anchors = self.root.with_name(f"{self.root.name}.inodes")
        self._anchors.mkdir()
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._modes: dict[int, bool] = {}
        self._chance = random.Random(seed)
        self._watching = False
        self._originals = {name: getattr(os, name) for name in _HOOKED}
        for name in _HOOKED:
            monkeypatch.setattr(os, name, self._hook(name))
        self._note_directory(self.root)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count the operations of the process that works here."""
        before, self._watching = self._watching, True
        try:
            yield
        finally:
            self._watching = before

    def _hook(self, name: str):
        original = self._originals[name]

        def operate(*arguments, **named):
            is_here = self._is_here(arguments[0])
            if is_here and self._watching:
                if self.is_off or self.operations == self.cut_at:
                    self.is_off = True
                    raise PowerCut
                self.operations += 1
            done = original(*arguments, **named)
            if is_here and name == "fsync":
                self._note(arguments[0])
            return done

        return operate

    def _is_here(self, place) -> bool:
        path = _path_of(place) if isinstance(place, int) else Path(place)
        return path.is_relative_to(self.root)

    # -- what is there for good -------------------------------------------------------------------

    def _note(self, descriptor: int) -> None:
        path = _path_of(descriptor)
        if path.is_dir():
            self._note_directory(path)
            return
        inode = self._anchor(path)
        self._contents[inode] = path.read_bytes()

    def _note_directory(self, path: Path) -> None:
        names = {entry.name: self._anchor(Path(entry)) for entry in os.scandir(path)}
        self._names[path.stat().st_ino] = names

    def _anchor(self, path: Path) -> int:
        """Keep the inode of a file from being given to another one; return it."""
        inode = path.stat().st_ino
        anchor = self._anchors / str(inode)
        if path.is_file() and not anchor.exists():
            self._originals["link"](path, anchor)
        return inode

    # -- the loss ---------------------------------------------------------------------------------

    def lose_power(self, style: str) -> None:
        """Leave in the folder what survives, and let there be power again."""
        assert not self._watching
        survived = self._survivors(self.root, style)
        shutil.rmtree(self.root)
        self.root.mkdir()
        _build(self.root, survived)
        shutil.rmtree(self._anchors)
        self._anchors.mkdir()
        self._contents.clear()
        self._names.clear()
        for folder, _, files in os.walk(self.root):
            for name in files:
                path = Path(folder, name)
                self._contents[self._anchor(path)] = path.read_bytes()
            self._note_directory(Path(folder))
        self.is_off, self.cut_at = False, None

    def _survivors(self, folder: Path, style: str) -> dict[str, object]:
        """Return what is left of a directory: bytes for files, the same again for directories."""
        synced = self._names.get(folder.stat().st_ino, {})
        now = {entry.name: entry.stat().st_ino for entry in os.scandir(folder)}
        found: dict[str, object] = {}
        for name in sorted(synced.keys() | now.keys()):
            is_late = style == "late" or (style == "mixed" and self._chance.random() < 0.5)
            inode = (now if is_late else synced).get(name)
            if inode is None:
                continue
            path = folder / name
            if name in now and path.is_dir():
                found[name] = self._survivors(path, style)
            elif inode in self._contents or now.get(name) == inode:
                found[name] = self._content(path, inode, current=now.get(name) == inode)
            elif (self._anchors / str(inode)).exists():
                found[name] = self._torn((self._anchors / str(inode)).read_bytes())
        return found

    def _content(self, path: Path, inode: int, *, current: bool) -> bytes:
        if inode in self._contents:
            synced = self._contents[inode]
            if current and path.read_bytes() != synced and self._chance.random() < 0.5:
                return self._torn(path.read_bytes())
            return synced
        return self._torn(path.read_bytes())

    def _torn(self, data: bytes) -> bytes:
        return self._chance.choice([b"", data[: len(data) // 2], bytes(len(data))])


def _path_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def _build(folder: Path, entries: dict[str, object]) -> None:
    for name, entry in entries.items():
        path = folder / name
        if isinstance(entry, dict):
            path.mkdir(mode=0o700)
            _build(path, entry)
        else:
            path.write_bytes(entry)
            path.chmod(0o600)


class ReachedBlobs(BlobStore):
    """Blobs on a disk, of which the other parties of a drill are served without a network."""

    def __init__(self, outbox: Outbox, leaf_bytes: int) -> None:
        super().__init__(outbox, leaf_bytes)
        self.sent: Counter[str] = Counter()
        self.missed: dict[bytes, None] = {}

    def wanted(self) -> tuple[bytes, ...]:
        return tuple(self.missed)

    def forget_wanted(self, root: bytes) -> None:
        self.missed.pop(root, None)


class PoweredParty(Party):
    """An operator whose stores are the real ones, on a disk that may lose power."""

    def __init__(self, site, index: int, disk: Disk) -> None:
        super().__init__(site, index)
        self.disk = disk
        self.losses = 0

    def start(self) -> None:
        folder = self.disk.root
        self.vault = FileStore(folder / "vault")
        self.vault.sweep()
        self.work = FileStore(folder / "work" / "steps")
        outbox = Outbox(folder / "work" / "outbox", SentLedger(folder / "work" / "sent.json"))
        self.blobs = ReachedBlobs(outbox, self.site.plan.layout.leaf_bytes)
        self.blobs.sweep()
        super().start()
        self.log.tamper = self._say

    def _say(self, entry):
        """Let an entry out, unless the power is gone already."""
        if self.disk.is_off:
            raise PowerCut
        return entry

    def _operator(self, known):
        return replace(super()._operator(known), random=self.draw)

    def draw(self, label: str, length: int) -> bytes:
        """Return random bytes, unless others have seen already what was drawn the first time."""
        for entry in self.log.state.log:
            if self.index in entry.signers:
                drawn_for = {
                    KemKey: "setup/kem-seed",
                    Contribution: f"setup/strings-{getattr(entry.entry, 'round', '')}",
                }.get(type(entry.entry))
                assert label != drawn_for, f"{label} is drawn again after it was promised"
        assert label != "shares-key" or self.log.state.sealed is None, "shares are lost"
        return self._seed.derive(label, length)

    def lose_power(self, style: str) -> None:
        if self.running:
            self.stop()
        if isinstance(self.blobs, BlobStore):
            self.blobs._spares._spares.clear()  # a process without power cleans nothing up
        self.disk.lose_power(style)
        self.losses += 1
