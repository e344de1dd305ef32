"""A disk that everybody shares fills up in the middle: the ceremony waits, and goes on by itself.

The disk is a file system in memory, which takes root to mount.
"""

import errno
import subprocess

import pytest

from tests.support.sandbox import Sandbox, finished, seeded

SIZE = "1200m"


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(path):
    """Write until the file system takes no more."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError as full:
            if full.errno != errno.ENOSPC:
                raise


@pytest.mark.long
def test_a_ceremony_on_a_full_disk_waits_and_goes_on_by_itself(ceremony, small_disk):
    with Sandbox(small_disk, "full", seeded()) as running:
        running.until_progress("N", 2)
        fill(small_disk / "other")
        running.until(lambda said: (said.event or {}).get("troubles"))
        (small_disk / "other").unlink()
        full = finished(running)
        assert running.left_over() == []
    assert full.key_files() == ceremony.key_files()
