"""An enclave image from its inputs: the same inputs give the same bytes.

The two ramdisks are laid out as the first process of AWS expects them: it loads the modules,
tells the host that the enclave is up, goes to /rootfs and starts what /cmd says with the
environment of /env. Source: aws/aws-nitro-enclaves-sdk-bootstrap, init/init.c;
aws/aws-nitro-enclaves-cli, enclave_build/src/yaml_generator.rs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from infra.image.archives import cpio_of
from infra.image.eif import Kind, Section, write_image
from infra.image.entries import Entry, directory, file, files_of_tar
from infra.image.inputs import read_boot_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.image.inputs import Inputs

__all__ = ["COMMAND", "ENVIRONMENT", "MOUNTED", "build_image"]

ROOT = "rootfs"
MOUNTED = ("dev", "proc", "run", "sys", "tmp")
"""What the first process mounts something over; nothing of the base image stays in them."""

COMMAND = ("/usr/local/bin/python3", "-m", "infra.image.start")
ENVIRONMENT = (
    "HOME=/root",
    "LANG=C.UTF-8",
    "PATH=/usr/local/bin:/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE=1",
    "PYTHONPATH=/opt/ringforge",
)


def build_image(inputs: Inputs, boot: Path, root: Path, version: str) -> Iterator[memoryview]:
    """Yield an enclave image in pieces.

    Args:
        inputs: what is pinned.
        boot: folder with kernel, first process and modules.
        root: tar of the root file system, application included.
        version: of the release, for the metadata, which is in no register.

    Raises:
        CeremonyError: RF-IMAGE-003 if something cannot be read, RF-IMAGE-005 if it is not what is
            pinned, RF-IMAGE-006 if it cannot be put into an image.
    """
    epoch = inputs.source_date_epoch
    sections = (
        Section(Kind.KERNEL, memoryview(read_boot_file(boot, inputs.kernel))),
        Section(Kind.COMMAND_LINE, memoryview(inputs.command_line.encode())),
        Section(Kind.METADATA, memoryview(_metadata(version))),
        Section(Kind.RAMDISK, _joined(cpio_of(_boot_entries(inputs, boot), epoch))),
        Section(Kind.RAMDISK, _joined(cpio_of(_application_entries(root), epoch))),
    )
    return write_image(sections)


def _boot_entries(inputs: Inputs, boot: Path) -> Iterator[Entry]:
    yield directory("dev")
    yield file("init", read_boot_file(boot, inputs.first_process), executable=True)
    loaded = "".join(f"{module.file}\n" for module in inputs.modules)
    yield file("modules_load_order", loaded.encode())
    for module in inputs.modules:
        yield file(module.file, read_boot_file(boot, module))


def _application_entries(root: Path) -> Iterator[Entry]:
    yield file("cmd", "".join(f"{word}\n" for word in COMMAND).encode())
    yield file("env", "".join(f"{word}\n" for word in ENVIRONMENT).encode())
    for name in MOUNTED:
        yield directory(f"{ROOT}/{name}")
    for entry in files_of_tar(root, without=MOUNTED):
        if entry.path not in MOUNTED:
            yield Entry(f"{ROOT}/{entry.path}", entry.form, entry.permissions, entry.data)


def _joined(pieces: Iterator[memoryview]) -> memoryview:
    return memoryview(b"".join(pieces))


def _metadata(version: str) -> bytes:
    """Return what a version 4 image must say of its build: nothing that differs by builder."""
    build = {
        "BuildTime": "1970-01-01T00:00:00Z",
        "BuildTool": "ringforge",
        "BuildToolVersion": version,
        "OperatingSystem": "Linux",
        "KernelVersion": "as in infra/aws/inputs.lock",
    }
    return json.dumps(
        {
            "ImageName": "ringforge",
            "ImageVersion": version,
            "BuildMetadata": build,
            "DockerInfo": {},
            "CustomMetadata": {},
        }
    ).encode()
