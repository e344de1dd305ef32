"""The lock of Python packages, as it lies in the repository: versions, digests, who needs whom."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.image.refusals import image_error

if TYPE_CHECKING:
    from mpc_core.protocol.errors import CeremonyError

__all__ = ["PROJECT", "Requirement", "read_requirements"]

PROJECT = "ringforge"
MOST_BYTES = 1 << 22
NEEDER = re.compile(r"    #   (?:via )?([a-z0-9][a-z0-9.-]*)(?:\[[a-z0-9,-]+\])?(?: \([a-z.]+\))?")
PIN = re.compile(r"([a-z0-9][a-z0-9.-]*)(?:\[[a-z0-9,-]+\])?==([A-Za-z0-9.!+]+) \\")
HASH = re.compile(r"    --hash=sha256:([0-9a-f]{64})(?: \\)?")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package as it is installed.

    Attributes:
        name: its normalised name.
        version: the only one that is installed.
        digests: SHA-256 of every file of this version; one of them is installed.
        needed_by: packages that import it, the project's own name included.
    """

    name: str
    version: str
    digests: tuple[str, ...]
    needed_by: tuple[str, ...]


def read_requirements(data: bytes) -> tuple[Requirement, ...]:
    """Return what requirements.lock says.

    Raises:
        CeremonyError: RF-IMAGE-007 if it says anything else than versions with digests.
    """
    if len(data) > MOST_BYTES:
        raise _unlocked(f"{len(data)} bytes")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise _unlocked("other bytes than ASCII") from error
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    starts = [at for at, line in enumerate(lines) if not line.startswith(" ")]
    if not starts:
        raise _unlocked("no packages")
    ends = [*starts[1:], len(lines)]
    found = tuple(_requirement(lines[at:end]) for at, end in zip(starts, ends, strict=True))
    names = [each.name for each in found]
    if starts[0] or names != sorted(set(names)):
        raise _unlocked("no packages in order, each once")
    strangers = {name for each in found for name in each.needed_by} - {*names, PROJECT}
    if strangers:
        raise _unlocked(f"needed by {min(strangers)}, which is not there")
    return found


def _requirement(lines: list[str]) -> Requirement:
    pin = PIN.fullmatch(lines[0])
    hashes = [HASH.fullmatch(line) for line in lines[1:] if not line.startswith("    #")]
    digests = tuple(match[1] for match in hashes if match)
    if pin is None or not digests or len(digests) != len(hashes):
        raise _unlocked(lines[0][:100])
    comments = [line.replace("# via ", "#   via ", 1) for line in lines if line.startswith("    #")]
    needers = [match[1] for line in comments if (match := NEEDER.fullmatch(line))]
    return Requirement(pin[1], pin[2], digests, tuple(sorted(set(needers))))


def _unlocked(found: str) -> CeremonyError:
    return image_error(
        "RF-IMAGE-007",
        "requirements.lock does not pin what is installed",
        "packages with one version and SHA-256 digests, in order",
        found,
        "make the lock again as its first lines say",
    )
