"""`ringforge operator measure`: what a plan must contain for the enclaves of an image."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from infra.cli.ending import print_json
from infra.image.registers import measure_file

if TYPE_CHECKING:
    from pathlib import Path

    from infra.image.registers import MeasuredImage

__all__ = ["measure_command", "named"]


def measure_command(image: Path, *, as_json: bool) -> int:
    """Write the section `measurement` of a plan for an image to standard output.

    Args:
        image: an enclave image file.
        as_json: one JSON object instead.

    Returns:
        0.

    Raises:
        CeremonyError: RF-IMAGE-001 or RF-IMAGE-002 if it is not valid, RF-IMAGE-003 if it cannot
            be read.
    """
    found = measure_file(image)
    if as_json:
        print_json(_as_dict(found))
        return 0
    lines = (f'{name} = "{value}"' for name, value in named(found).items())
    sys.stdout.write("\n".join(("[measurement]", *lines)) + "\n")
    sys.stderr.write(f"image {found.sha256.hex()}, {found.size} bytes\n{_signed(found)}\n")
    return 0


def named(image: MeasuredImage) -> dict[str, str]:
    """Return the registers under the names that they have in a plan."""
    return {f"pcr{index}": value.hex() for index, value in sorted(image.pcrs.items())}


def _signed(image: MeasuredImage) -> str:
    if image.signature is None:
        return "nobody signed it, so the plan names no PCR8"
    return f"signed by {image.signature.subject}, until {image.signature.until:%Y-%m-%d}"


def _as_dict(image: MeasuredImage) -> dict[str, object]:
    signer = image.signature
    return {
        "sha256": image.sha256.hex(),
        "size": image.size,
        "measurement": named(image),
        "signed_by": None if signer is None else signer.subject,
        "signed_until": None if signer is None else signer.until.isoformat(),
    }
