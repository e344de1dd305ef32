"""The commands about enclave images and their releases."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.ending import ending

__all__ = ["operator_measure"]

Image = Annotated[Path, typer.Argument(help="An enclave image file (EIF).")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]


def operator_measure(image: Image, *, as_json: AsJson = False) -> None:
    """Show what a plan must contain for the enclaves of an image: PCR0, 1, 2 and 8."""
    with ending(as_json=as_json):
        from infra.image.measure_command import measure_command

        raise typer.Exit(measure_command(image, as_json=as_json))
