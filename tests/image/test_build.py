"""An image is a function of pinned inputs, and nothing else goes in."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from infra.image.build import COMMAND, ENVIRONMENT, MOUNTED, build_image
from infra.image.eif import Kind, read_sections
from infra.image.inputs import read_inputs
from infra.image.registers import measure
from mpc_core.protocol.errors import CeremonyError
from tests.image.unpacked import unpacked

LOCK = Path(__file__).parents[2] / "infra" / "aws" / "inputs.lock"
BOOT = {"bzImage": b"kernel", "init": b"first process", "nsm.ko": b"driver", "virtio.ko": b"bus"}


def lock(**digests):
    """Return a lock of inputs whose boot files are those above."""
    lines = ["source_date_epoch = 1767225600", 'command_line = "reboot=k panic=30"', "[base]"]
    lines += ['image = "docker.io/library/python:3.11"', f'sha256 = "{"ab" * 32}"']
    for name in ("bzImage", "init", "virtio.ko", "nsm.ko"):
        digest = digests.get(name, hashlib.sha256(BOOT[name]).hexdigest())
        lines += ["[[boot]]", f'file = "{name}"', f'sha256 = "{digest}"']
    return "\n".join(lines).encode()


@pytest.fixture
def boot(tmp_path):
    for name, data in BOOT.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def root_file_system(path, mtime=1):
    with tarfile.open(path, "w") as archive:
        for name in ("opt/ringforge/infra/__init__.py", "run/left", "usr/local/bin/python3"):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uid = len(name), mtime, mtime
            archive.addfile(info, io.BytesIO(name.encode()))
    return path


def built(boot, root):
    return b"".join(build_image(read_inputs(lock()), boot, root, "0.1.0"))


def test_two_builds_give_the_same_image(boot, tmp_path):
    one = built(boot, root_file_system(tmp_path / "one.tar"))
    other = built(boot, root_file_system(tmp_path / "other.tar", mtime=2**31))
    assert one == other
    assert measure(memoryview(one)).pcrs.keys() == {0, 1, 2}


def test_the_ramdisks_are_what_the_first_process_expects(boot, tmp_path):
    image = built(boot, root_file_system(tmp_path / "root.tar"))
    sections = read_sections(memoryview(image))
    first, second = (unpacked(bytes(each.data)) for each in sections if each.kind is Kind.RAMDISK)
    assert list(first) == ["dev", "init", "modules_load_order", "nsm.ko", "virtio.ko"]
    assert first["init"].data == BOOT["init"]
    assert first["init"].mode & 0o111
    assert first["modules_load_order"].data == b"virtio.ko\nnsm.ko\n"
    assert second["cmd"].data.decode().splitlines() == list(COMMAND)
    assert second["env"].data.decode().splitlines() == list(ENVIRONMENT)
    assert second["rootfs/usr/local/bin/python3"].data == b"usr/local/bin/python3"
    assert {f"rootfs/{name}" for name in MOUNTED} <= second.keys()
    assert "rootfs/run/left" not in second


def test_another_application_changes_registers_0_and_2_and_not_1(boot, tmp_path):
    one = measure(memoryview(built(boot, root_file_system(tmp_path / "root.tar"))))
    with tarfile.open(tmp_path / "other.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("opt/ringforge/other.py"))
    other = measure(memoryview(built(boot, tmp_path / "other.tar")))
    assert one.pcrs[1] == other.pcrs[1]
    assert one.pcrs[0] != other.pcrs[0]
    assert one.pcrs[2] != other.pcrs[2]


def test_an_input_with_another_digest_is_refused(boot, tmp_path):
    (boot / "nsm.ko").write_bytes(b"another driver")
    with pytest.raises(CeremonyError, match="RF-IMAGE-005"):
        built(boot, root_file_system(tmp_path / "root.tar"))


def test_an_input_that_is_not_there_is_refused(boot, tmp_path):
    (boot / "bzImage").unlink()
    with pytest.raises(CeremonyError, match="RF-IMAGE-003"):
        built(boot, root_file_system(tmp_path / "root.tar"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"sha256", b"sha512"),
        (b"= 1767225600", b"= -1"),
        (b"= 1767225600", b'= "1767225600"'),
        (b"bzImage", b"../bzImage"),
        (b"bzImage", b"other.ko"),
        (b"init", b"bzImage"),
        (b"virtio.ko", b"nsm.ko"),
        (b"ab" * 32, b"AB" * 32),
        (b"ab" * 32, b""),
        (b"python:3.11", b"python"),
        (b"[base]", b"more = 1\n[base]"),
        (b"reboot=k", b"reboot=k\\n"),
        (b"[[boot]]", b"[boot]"),
        (b"source", b"\xff"),
        (b"panic=30", b"p" * 70_000),
    ],
    ids=range(15),
)
def test_a_lock_that_is_not_one_is_refused(old, new):
    assert old in lock()
    with pytest.raises(CeremonyError, match="RF-IMAGE-004"):
        read_inputs(lock().replace(old, new))


@pytest.mark.parametrize("name", ["bzImage", "init", "nsm.ko"])
def test_an_input_that_nobody_has_filled_in_stops_the_build(name):
    with pytest.raises(CeremonyError, match="RF-IMAGE-004") as raised:
        read_inputs(lock(**{name: ""}))
    assert name in raised.value.found


def test_the_lock_of_the_project_is_one_but_for_what_people_have_to_compare():
    text = LOCK.read_bytes()
    read_inputs(text.replace(b'sha256 = ""', b'sha256 = "' + b"ab" * 32 + b'"'))
