"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["AsJson", "KeepOpenings"]

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]
KeepOpenings = Annotated[
    bool,
    typer.Option(
        "--keep-openings", help="Keep every opened value in the transcript, not only the last."
    ),
]
