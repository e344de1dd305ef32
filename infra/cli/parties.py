"""`ringforge coordinator` and `ringforge operator`: the processes of a ceremony's parties."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.enclave import operator_leave, operator_policy, operator_seal
from infra.cli.ending import ending, print_json, stop_like_ctrl_c
from infra.cli.governance import Representative, operator_sweep
from infra.cli.image import operator_measure
from infra.cli.options import AsJson, KeepOpenings
from infra.cli.temporal_line import operator_temporal_line, operator_temporal_request
from infra.network.places import LOOPBACK, Reach

__all__ = ["coordinator", "operator"]

coordinator = typer.Typer(help="The process that hosts the log and gives the orders.")
operator = typer.Typer(help="The process of one operator.")
operator.command("policy")(operator_policy)
operator.command("seal")(operator_seal)
operator.command("leave")(operator_leave)
operator.command("sweep")(operator_sweep)
operator.command("measure")(operator_measure)
operator.command("temporal-request")(operator_temporal_request)
operator.command("temporal-line")(operator_temporal_line)

Home = Annotated[
    Path, typer.Option("--home", help="Folder with vault/, work/ and the signed plan.")
]
Temporal = Annotated[str, typer.Option("--temporal", help="Address of the Temporal server.")]
Listen = Annotated[
    str, typer.Option("--listen", help="This machine's address, at which the others reach it.")
]
Ranges = Annotated[
    int,
    typer.Option(
        "--ranges", min=1, max=64, help="Parts of a file to fetch at once over long lossy lines."
    ),
]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65_535, help="The port to serve; 0 for any free one.")
]
SharedOpenings = Annotated[
    Path | None,
    typer.Option(help="Folder in which this machine's parties keep opened values once."),
]
InsecureClockOffset = Annotated[
    Path | None,
    typer.Option(hidden=True, help="INSECURE: file with the seconds by which a drill moves time."),
]


@coordinator.command("run")
def coordinator_run(
    home: Home,
    temporal: Temporal,
    *,
    listen: Listen = LOOPBACK,
    ranges: Ranges = 1,
    port: Port = 0,
    keep_openings: KeepOpenings = False,
    shared_openings: SharedOpenings = None,
    insecure_clock_offset: InsecureClockOffset = None,
    database: Annotated[
        str | None,
        typer.Option(help="URL of the log's database. [default: a SQLite file in the home]"),
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Have the operators move the log to this home.")
    ] = False,
    operators: Annotated[
        list[str] | None,
        typer.Option("--operator", metavar="NAME=HOST:PORT", help="Where an operator is."),
    ] = None,
    ciphertext: Annotated[
        bytes | None,
        typer.Option(
            "--decrypt",
            parser=bytes.fromhex,
            hidden=True,
            help="Merkle root of a ciphertext list in the outbox, to have that decrypted.",
        ),
    ] = None,
    operator_namespaces: Annotated[
        list[str] | None,
        typer.Option(
            "--operator-namespace",
            metavar="NAME=NAMESPACE",
            help="An operator with a namespace of Temporal of its own.",
        ),
    ] = None,
) -> None:
    """Host the log, give the orders, and write what happens as JSON lines."""
    with ending(as_json=True):
        from infra.coordinator import run_coordinator

        stop_like_ctrl_c()
        raise typer.Exit(
            run_coordinator(
                home,
                temporal,
                Reach(listen, ranges, port),
                ciphertext or b"",
                keep_openings=keep_openings,
                shared_openings=shared_openings,
                insecure_clock_offset=insecure_clock_offset,
                take_over=_addresses(operators or []) if take_over else None,
                database=database,
                namespaces=_named(operator_namespaces or []),
            )
        )


@operator.command("run")
def operator_run(
    home: Home,
    temporal: Temporal,
    *,
    board: Annotated[
        str | None, typer.Option("--board", help="Address of the log; else wait to be told.")
    ] = None,
    listen: Listen = LOOPBACK,
    ranges: Ranges = 1,
    shared_openings: SharedOpenings = None,
    insecure_clock_offset: InsecureClockOffset = None,
    insecure_lie: Annotated[
        str,
        typer.Option(hidden=True, help="INSECURE: the lie that this operator of a drill tells."),
    ] = "",
    insecure_local_kms: Annotated[
        str | None, typer.Option(hidden=True, help="INSECURE: URL of a sandbox's key service.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Namespace of Temporal in which its task queues are.")
    ] = None,
    rejoin: Annotated[
        bool, typer.Option("--rejoin", help="The vault is lost, but for the identity key.")
    ] = False,
) -> None:
    """Take part in the ceremony of this home; a second start goes on where the first ended."""
    with ending(as_json=True):
        from infra.operator import run_operator

        stop_like_ctrl_c()
        raise typer.Exit(
            run_operator(
                home,
                temporal,
                board,
                Reach(listen, ranges),
                shared_openings=shared_openings,
                insecure_clock_offset=insecure_clock_offset,
                insecure_lie=insecure_lie,
                insecure_local_kms=insecure_local_kms,
                namespace=namespace,
                rejoin=rejoin,
            )
        )


@operator.command("admit")
def operator_admit(
    home: Home,
    *,
    name: Annotated[str, typer.Option("--operator", help="Who lost its vault.")],
    key: Annotated[
        str, typer.Option("--key", help="The key that its people read to you, in hex.")
    ] = "",
    representative: Representative = None,
    as_json: AsJson = False,
) -> None:
    """Approve that an operator that lost its vault gets its seat back, with all its keys."""
    with ending(as_json=as_json):
        from infra.party.admit import admit

        approval = admit(home, name, key, representative)
        if as_json:
            print_json(approval.as_dict())
        else:
            typer.echo(approval.text)
        raise typer.Exit(0 if approval.given else 3)


def _addresses(texts: list[str]) -> dict[str, tuple[str, int]]:
    """Return addresses by name, from NAME=HOST:PORT."""
    found = {}
    for text in texts:
        name, _, address = text.partition("=")
        host, _, port = address.rpartition(":")
        if not name or not host or not port.isdecimal():
            raise typer.BadParameter(f"{text!r} is not NAME=HOST:PORT", param_hint="--operator")
        found[name] = (host, int(port))
    return found


def _named(texts: list[str]) -> dict[str, str]:
    """Return namespaces by operator, from NAME=NAMESPACE."""
    found = {}
    for text in texts:
        name, _, namespace = text.partition("=")
        if not name or not namespace:
            raise typer.BadParameter(
                f"{text!r} is not NAME=NAMESPACE", param_hint="--operator-namespace"
            )
        found[name] = namespace
    return found
