"""The commands about enclaves and what is sealed for them."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.ending import ending

__all__ = ["attestation", "operator_leave", "operator_policy", "operator_seal"]

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


def operator_policy(
    *,
    plan: Annotated[Path, typer.Option(help="plan.toml with the measurement.")],
    name: Annotated[str, typer.Option("--operator", help="Whose key it is.")],
    role: Annotated[str, typer.Option(help="ARN of the role of the enclave's instance.")],
    administrator: Annotated[
        str, typer.Option(help="ARN of who creates and destroys the key, and never uses it.")
    ],
) -> None:
    """Write the key policy under which only the plan's image gets data keys, as JSON."""
    with ending(as_json=False):
        from infra.enclave.kms.command import policy_command
        from infra.enclave.kms.policy import KeyHolder

        raise typer.Exit(policy_command(plan, name, KeyHolder(role, administrator)))


def operator_seal(
    *,
    home: Annotated[Path, typer.Option(help="Folder with vault/, work/ and the signed plan.")],
    insecure_local_kms: Annotated[
        str | None, typer.Option(hidden=True, help="INSECURE: URL of a sandbox's key service.")
    ] = None,
) -> None:
    """Move the vault of a home into sealed objects, in the enclave that the plan asks for."""
    with ending(as_json=False):
        from infra.enclave.kms.command import seal_command

        raise typer.Exit(seal_command(home, insecure_endpoint=insecure_local_kms))


def operator_leave(
    *,
    home: Annotated[Path, typer.Option(help="Folder with vault/, work/ and the signed plan.")],
    name: Annotated[str, typer.Option("--operator", help="Who leaves: the name of that home.")],
    board: Annotated[
        str | None, typer.Option(help="HOST:PORT of the log, on which the record is posted first.")
    ] = None,
    not_posted: Annotated[
        bool, typer.Option("--not-posted", help="Nobody hosts the log any more: post nothing.")
    ] = False,
    representative: Annotated[
        Path | None,
        typer.Option(help="Sign as who speaks for it, for the launch document of its enclave."),
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Delete the key, by the record that its enclave signed.")
    ] = None,
    administrator: Annotated[
        str | None, typer.Option(help="AWS profile that may destroy the key, if it is another.")
    ] = None,
    insecure_local_kms: Annotated[
        str | None, typer.Option(hidden=True, help="INSECURE: URL of a sandbox's key service.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Destroy for ever what an operator sealed, and sign a record of it."""
    with ending(as_json=as_json):
        from infra.enclave.kms import leave_command

        if record is not None:
            if board is not None or not_posted or representative is not None:
                raise typer.BadParameter(
                    "stands alone: the record is signed", param_hint="--record"
                )
            code = leave_command.delete_key_command(
                home,
                name,
                record,
                administrator=administrator,
                insecure_endpoint=insecure_local_kms,
                as_json=as_json,
            )
            raise typer.Exit(code)
        place = _place_of_the_log(board, not_posted=not_posted)
        if representative is not None:
            raise typer.Exit(
                leave_command.instruct_command(home, name, representative, place, as_json=as_json)
            )
        code = leave_command.leave_command(
            home,
            name,
            administrator=administrator,
            board=place,
            insecure_endpoint=insecure_local_kms,
            as_json=as_json,
        )
        raise typer.Exit(code)


def _place_of_the_log(board: str | None, *, not_posted: bool) -> str:
    """Return the log's address, "" if it was said that there is none: silence is no answer."""
    if bool(board) == not_posted:
        raise typer.BadParameter(
            "say where the record is posted, or --not-posted, and not both", param_hint="--board"
        )
    return board or ""
