"""`ringforge evidence`: who was accused of what, and files that prove it to anybody."""

# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.ending import ending

__all__ = ["evidence"]

evidence = typer.Typer(help="Who was accused of what, as files that anybody can check.")

Folder = Annotated[Path, typer.Argument(help="A finished ceremony, or the home of an operator.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]


@evidence.command("list")
def evidence_list(folder: Folder, *, as_json: AsJson = False) -> None:
    """List every accusation: accused, ground, batch, and what came of it."""
    with ending(as_json=as_json):
        from infra.evidence import list_command

        raise typer.Exit(list_command(folder, as_json=as_json))


@evidence.command("show")
def evidence_show(
    folder: Folder,
    number: Annotated[int, typer.Argument(help="As `list` shows it.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", help="The file. [default: evidence-<number>.cbor]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one accusation, and write a file that holds all a third party needs."""
    with ending(as_json=as_json):
        from infra.evidence import show_command

        raise typer.Exit(show_command(folder, number, output, as_json=as_json))


@evidence.command("verify")
def evidence_verify(
    file: Annotated[Path, typer.Argument(help="What `show` wrote.")],
    *,
    plan_hash: Annotated[
        str | None, typer.Option("--plan-hash", help="The plan that it must be, in hex.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a file of evidence, offline: 0 proven, 4 not."""
    with ending(as_json=as_json):
        from infra.evidence import verify_command

        raise typer.Exit(verify_command(file, plan_hash=plan_hash, as_json=as_json))
