"""The inputs of a build that no other lock names: base image, kernel, first process, driver.

They stand in `infra/aws/inputs.lock` with their SHA-256. An empty digest means that nobody has
looked yet, and the build stops there: it never takes what happens to lie around.
"""

from __future__ import annotations

import hashlib
import tomllib
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, ValidationError

from infra.image.refusals import image_error, read_limited
from infra.plan.document import first_fault
from infra.plan.sections import Section, as_tuple

if TYPE_CHECKING:
    from pathlib import Path

    from mpc_core.protocol.errors import CeremonyError

__all__ = ["BootFile", "Inputs", "read_boot_file", "read_inputs"]

MOST_BYTES = 65_536
MOST_BOOT_BYTES = 1 << 28

KERNEL, FIRST_PROCESS = "bzImage", "init"

Digest = Annotated[str, Field(pattern="^([0-9a-f]{64})?$")]
Module = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}\.ko$")]


class Base(Section):
    """The image whose file system lies below the application."""

    image: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9./-]{0,199}:[A-Za-z0-9._-]{1,100}$")]
    sha256: Digest

    @property
    def reference(self) -> str:
        """How a registry is asked for exactly this image."""
        return f"{self.image}@sha256:{self.sha256}"


class BootFile(Section):
    """A file of the kernel or of the first ramdisk."""

    file: Annotated[str, Field(pattern=rf"^({KERNEL}|{FIRST_PROCESS}|[a-z0-9_-]{{1,64}}\.ko)$")]
    sha256: Digest


class Inputs(Section):
    """All of them; kernel modules in the order in which they are loaded."""

    source_date_epoch: Annotated[int, Field(ge=0, lt=1 << 32)]
    command_line: Annotated[str, Field(pattern="^[ -~]{1,2000}$")]
    base: Base
    boot: Annotated[
        tuple[BootFile, ...],
        BeforeValidator(as_tuple),
        Field(min_length=2, max_length=20),
    ]

    def named(self, name: str) -> BootFile:
        """Return the boot file of this name; `read_inputs` checked that there is one."""
        return next(each for each in self.boot if each.file == name)

    @property
    def kernel(self) -> BootFile:
        """The kernel."""
        return self.named(KERNEL)

    @property
    def first_process(self) -> BootFile:
        """What the kernel starts."""
        return self.named(FIRST_PROCESS)

    @property
    def modules(self) -> list[BootFile]:
        """What the first process loads into the kernel, in this order."""
        return [each for each in self.boot if each.file.endswith(".ko")]


def read_inputs(data: bytes) -> Inputs:
    """Return what a lock of inputs says, every digest filled in.

    Raises:
        CeremonyError: RF-IMAGE-004 if it is none, or one that leaves an input open.
    """
    if len(data) > MOST_BYTES:
        raise _open(f"a file of {len(data)} bytes")
    try:
        found = Inputs.model_validate(tomllib.loads(data.decode()))
    except ValidationError as error:
        raise _open(first_fault(error)) from error
    except (ValueError, RecursionError) as error:
        raise _open("a file that is not TOML") from error
    names = [each.file for each in found.boot]
    if len(set(names)) != len(names) or not {KERNEL, FIRST_PROCESS} <= set(names):
        raise _open(f"boot files {', '.join(names)}")
    missing = [each.file for each in found.boot if not each.sha256]
    if missing or not found.base.sha256:
        raise _open(f"no digest of {', '.join(missing or [found.base.image])}")
    return found


def read_boot_file(folder: Path, pinned: BootFile) -> bytes:
    """Return the content of a boot file, which is the pinned one.

    Raises:
        CeremonyError: RF-IMAGE-003 if it cannot be read, RF-IMAGE-005 if it is another.
    """
    data = read_limited(folder / pinned.file, MOST_BOOT_BYTES)
    found = hashlib.sha256(data).hexdigest()
    if found != pinned.sha256:
        raise image_error(
            "RF-IMAGE-005",
            f"{pinned.file} is not the input that the lock pins",
            f"SHA-256 {pinned.sha256}",
            found,
            "fetch or build it again; change the lock only after two people compared",
        )
    return data


def _open(found: str) -> CeremonyError:
    return image_error(
        "RF-IMAGE-004",
        "the lock of inputs leaves open what an image is built from",
        "every input of infra/aws/inputs.lock with its SHA-256",
        found,
        "fill in what two people found on their own",
        effect="nothing is built",
    )
