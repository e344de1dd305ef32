"""The commands about enclaves and what is sealed for them."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.ending import ending

__all__ = ["attestation"]

attestation = typer.Typer(help="Documents in which enclaves prove what they run.")

File = Annotated[Path, typer.Argument(help="An attestation document, binary or base64.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]


@attestation.command("show")
def attestation_show(file: File, *, as_json: AsJson = False) -> None:
    """Show what a document says, without believing it."""
    with ending(as_json=as_json):
        from infra.enclave.command import show_command

        raise typer.Exit(show_command(file, as_json=as_json))


@attestation.command("verify")
def attestation_verify(
    file: File,
    *,
    at_document_time: Annotated[
        bool, typer.Option("--at-document-time", help="Accept a document of any age.")
    ] = False,
    policy: Annotated[
        Path | None, typer.Option(help="plan.toml whose measurement the enclave must have.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a document of a Nitro enclave: 0 valid, 4 invalid."""
    with ending(as_json=as_json):
        from infra.enclave.command import verify_command

        code = verify_command(
            file, policy=policy, at_document_time=at_document_time, as_json=as_json
        )
        raise typer.Exit(code)
