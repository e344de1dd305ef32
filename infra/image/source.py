"""What of a checkout goes into an image, and what a release says of it."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.image.archives import tar_of
from infra.image.entries import Entry, file, files_below
from infra.image.inputs import Inputs, read_inputs
from infra.image.refusals import image_error
from infra.image.requirements import PROJECT, Requirement, read_requirements

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PACKAGES", "PLACE", "Source", "digest_of", "read_limited"]

PACKAGES = ("activities", "infra", "mpc_core", "workflows")
PLACE = "opt/ringforge"
"""Where the packages lie in an image."""

DEPLOYMENT = "infra/aws/"
"""What stands around an image is not in it: a changed rule of a firewall changes no register."""

MOST_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class Source:
    """A checkout of the project."""

    root: Path

    def version(self) -> str:
        """Return the version of the project.

        Raises:
            CeremonyError: RF-IMAGE-003 if there is no pyproject.toml that says it.
        """
        path = self.root / "pyproject.toml"
        try:
            return str(tomllib.loads(read_limited(path).decode())["project"]["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise image_error(
                "RF-IMAGE-003",
                f"{path} cannot be read",
                "the project's version",
                type(error).__name__,
                "give the folder of a checkout",
            ) from error

    @property
    def requirements_lock(self) -> bytes:
        """The lock of Python packages."""
        return read_limited(self.root / "requirements.lock")

    @property
    def inputs_lock(self) -> bytes:
        """The lock of everything else."""
        return read_limited(self.root / "infra" / "aws" / "inputs.lock")

    def requirements(self) -> tuple[Requirement, ...]:
        """Return the Python packages.

        Raises:
            CeremonyError: RF-IMAGE-003 or RF-IMAGE-007.
        """
        return read_requirements(self.requirements_lock)

    def inputs(self) -> Inputs:
        """Return everything else, every digest filled in.

        Raises:
            CeremonyError: RF-IMAGE-003 or RF-IMAGE-004.
        """
        return read_inputs(self.inputs_lock)

    def application(self) -> Iterator[memoryview]:
        """Yield the tar of what goes into an image: the packages below their place.

        Raises:
            CeremonyError: RF-IMAGE-003, RF-IMAGE-004 or RF-IMAGE-006.
        """
        placed = [
            Entry(f"{PLACE}/{entry.path}", entry.form, entry.permissions, entry.data)
            for entry in files_below(self.root, PACKAGES)
            if not entry.path.startswith(DEPLOYMENT)
        ]
        return tar_of([*placed, self._installed()], self.inputs().source_date_epoch)

    def _installed(self) -> Entry:
        """Return what tells Python that the project is installed there, and which version."""
        version = self.version()
        said = f"Metadata-Version: 2.1\nName: {PROJECT}\nVersion: {version}\n"
        return file(f"{PLACE}/{PROJECT}-{version}.dist-info/METADATA", said.encode())


def read_limited(path: Path) -> bytes:
    """Return the content of a file that people hand over.

    Raises:
        CeremonyError: RF-IMAGE-003 if it cannot be read or is longer than any of them.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error.strerror or type(error).__name__) from error
    if len(data) > MOST_BYTES:
        raise _unreadable(path, f"more than {MOST_BYTES} bytes")
    return data


def digest_of(pieces: Iterator[memoryview]) -> bytes:
    """Return the SHA-256 of what comes in pieces."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def _unreadable(path: Path, found: str) -> Exception:
    return image_error(
        "RF-IMAGE-003", f"{path} cannot be read", "a readable file", found, "check the path"
    )
