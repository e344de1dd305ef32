"""The commands about the line of an operator's enclave to the Temporal server."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.ending import ending
from infra.cli.options import AsJson

__all__ = ["operator_temporal_line", "operator_temporal_request"]


def operator_temporal_request(
    card: Annotated[Path, typer.Argument(help="The operator's card.")],
    request: Annotated[Path, typer.Argument(help="temporal.csr, which lay beside it.")],
) -> None:
    """Write the request of an enclave for a certificate, if the identity on its card made it."""
    with ending(as_json=False):
        from infra.party.line_command import request_command

        raise typer.Exit(request_command(card, request))


def operator_temporal_line(
    *,
    home: Annotated[Path, typer.Option(help="Folder with vault/, work/ and the signed plan.")],
    representative: Annotated[Path, typer.Option(help="Home of who speaks for the operator.")],
    temporal: Annotated[str, typer.Option(help="HOST:PORT of the Temporal server.")],
    authority: Annotated[Path, typer.Option(help="Certificate above the server's, in PEM.")],
    server_name: Annotated[
        str, typer.Option(help="Name in the server's certificate, if it is not HOST.")
    ] = "",
    namespace: Annotated[
        str, typer.Option(help="Namespace in which the operator's task queues are.")
    ] = "",
    certificate: Annotated[
        Path | None, typer.Option(help="The enclave's certificate, if the server asks for one.")
    ] = None,
    request: Annotated[
        Path | None, typer.Option(help="The enclave's request, for which that was made.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign by what an operator's enclave knows the Temporal server, for its launch document."""
    with ending(as_json=as_json):
        from infra.enclave.files import read_file
        from infra.party.instructions import TemporalLine
        from infra.party.line_command import MOST_BYTES, line_command

        if (certificate is None) != (request is None):
            raise typer.BadParameter("one needs the other", param_hint="--certificate --request")
        own = b"" if certificate is None else read_file(certificate, MOST_BYTES)
        above = read_file(authority, MOST_BYTES)
        server = TemporalLine(temporal, server_name, namespace, above, own)
        raise typer.Exit(line_command(home, representative, server, request, as_json=as_json))
