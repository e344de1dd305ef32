"""What a folder took of the disk at most."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from infra.report.disk import PeakDisk, disk_bytes

if TYPE_CHECKING:
    from pathlib import Path

PAGE = 4096


def test_a_file_with_several_names_counts_once_and_what_is_gone_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "one").write_bytes(bytes(range(256)) * 4 * PAGE)
    before = disk_bytes(tmp_path)
    assert before >= 1024 * PAGE
    os.link(tmp_path / "inner" / "one", tmp_path / "two")
    assert disk_bytes(tmp_path) == before
    (tmp_path / "inner" / "one").unlink()
    (tmp_path / "two").unlink()
    assert disk_bytes(tmp_path) < PAGE


def test_the_most_that_was_seen_stays(tmp_path: Path) -> None:
    moments = iter([0.0, 1.0, 10.0, 20.0])
    disk = PeakDisk(tmp_path, lambda: next(moments))
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * PAGE)
    disk.look()
    small = disk.size
    file.write_bytes(bytes(range(256)) * 2 * PAGE)
    disk.look()
    assert disk.size == small > 0, "a moment later nobody looks again"
    disk.look()
    large = disk.size
    assert large > small
    file.unlink()
    disk.look()
    assert disk.size == large
