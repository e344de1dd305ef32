"""What of a checkout goes into an image, and what a release says of it."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.image.archives import tar_of
from infra.image.entries import Entry, file, files_below
from infra.image.inputs import Inputs, read_inputs
from infra.image.refusals import read_limited, unreadable
from infra.image.requirements import PROJECT, Requirement, read_requirements

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PACKAGES", "PLACE", "Source", "digest_of"]

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
            return str(tomllib.loads(read_limited(path, MOST_BYTES).decode())["project"]["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise unreadable(path, error) from error

    @property
    def requirements_lock(self) -> bytes:
        """The lock of Python packages."""
        return read_limited(self.root / "requirements.lock", MOST_BYTES)

    @property
    def inputs_lock(self) -> bytes:
        """The lock of everything else."""
        return read_limited(self.root / "infra" / "aws" / "inputs.lock", MOST_BYTES)

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


def digest_of(pieces: Iterator[memoryview]) -> bytes:
    """Return the SHA-256 of what comes in pieces."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()
