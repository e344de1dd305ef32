"""A manifest beside what it is about: image, bill of materials, source, plan."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from infra.enclave.measurement import MOST_PLAN_BYTES, read_measurement
from infra.image.refusals import image_error, read_limited
from infra.image.registers import measure_file
from infra.image.source import Source, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.image.release import Release

__all__ = ["MOST_BILL_BYTES", "Given", "compare"]

MOST_BILL_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Given:
    """What a manifest is compared with; None is not compared.

    Attributes:
        image: an enclave image file.
        bill: a bill of materials.
        source: a checkout.
        plan: a plan.toml, whose signatures are not checked.
    """

    image: Path | None = None
    bill: Path | None = None
    source: Path | None = None
    plan: Path | None = None

    def names(self, *, there: bool) -> list[str]:
        """Return what is given, or what is not."""
        return [
            each.name for each in fields(self) if (getattr(self, each.name) is not None) == there
        ]


def compare(release: Release, given: Given) -> None:
    """Check that everything that is given is what the manifest says.

    Raises:
        CeremonyError: RF-RELEASE-003 if something is another, RF-IMAGE-* or RF-ATTEST-009 if it
            cannot be read.
    """
    if given.image is not None:
        found = measure_file(given.image)
        _same("image", release.image, found.sha256)
        _same_registers("image", release, found.pcrs)
    if given.bill is not None:
        _same("bill of materials", release.bill, _sha256(read_limited(given.bill, MOST_BILL_BYTES)))
    if given.source is not None:
        source = Source(given.source)
        _same("requirements.lock", release.requirements, _sha256(source.requirements_lock))
        _same("infra/aws/inputs.lock", release.inputs, _sha256(source.inputs_lock))
        _same("source", release.application, digest_of(source.application()))
    if given.plan is not None:
        _same_registers(
            "plan", release, read_measurement(read_limited(given.plan, MOST_PLAN_BYTES)).pcrs
        )


def _same_registers(name: str, release: Release, found: Mapping[int, bytes]) -> None:
    """Check the registers that are found; a plan need not name who signed the image."""
    for at, value in sorted(found.items()):
        _same(f"PCR{at} of the {name}", release.pcrs.get(at, b""), value)


def _same(name: str, said: bytes, found: bytes) -> None:
    if said != found:
        raise image_error(
            "RF-RELEASE-003",
            f"the {name} is not the one of the release",
            said.hex() or "none",
            found.hex(),
            "find out which of the two is changed before anything of it runs",
            effect="this is not what the manifest is about",
        )


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
