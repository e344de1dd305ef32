"""The commands of `ringforge` and their options; what they do is imported when they run."""

# ruff: noqa: PLC0415

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.drill import drill
from infra.cli.enclave import attestation
from infra.cli.ending import ending, print_json
from infra.cli.evidence import evidence
from infra.cli.figures import bench, estimate
from infra.cli.governance import approve, decide, decisions, plan
from infra.cli.image import release
from infra.cli.options import AsJson, KeepOpenings
from infra.cli.parties import coordinator, operator
from infra.secrecy import forbid_core_dumps

__all__ = ["app", "main"]

app = typer.Typer(
    name="ringforge",
    help="Create the keys of fully homomorphic encryption among operators who share no secret.",
    epilog="Exit codes: 0 ok, 1 failed, 2 usage, 3 waiting (resume), 4 verification failed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(drill, name="drill", no_args_is_help=True)
app.add_typer(evidence, name="evidence", no_args_is_help=True)
app.add_typer(coordinator, name="coordinator", no_args_is_help=True)
app.add_typer(operator, name="operator", no_args_is_help=True)
app.add_typer(attestation, name="attestation", no_args_is_help=True)
app.add_typer(plan, name="plan", no_args_is_help=True)
app.add_typer(release, name="release", no_args_is_help=True)
app.command("approve")(approve)
app.command("decide")(decide)
app.command("decisions")(decisions)

Ceremony = Annotated[Path, typer.Argument(help="Folder of the ceremony.")]


class Enclaves(Enum):
    """What stands in for the enclaves of a sandbox."""

    SOFTWARE = "software"


@app.command()
def sandbox(
    *,
    operators: Annotated[
        int | None, typer.Option(help="Number of operators, at least 3t+1. [default: 4]")
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(help="How many may crash or lie. [default: 1]")
    ] = None,
    parameters: Annotated[str | None, typer.Option(help="Parameter set. [default: test]")] = None,
    scale: Annotated[
        int | None,
        typer.Option(help="INSECURE: divide the set's dimensions by this power of two."),
    ] = None,
    identifier: Annotated[
        str | None, typer.Option("--id", help="Name of the ceremony's folder. [default: the time]")
    ] = None,
    network: Annotated[
        Path | None,
        typer.Option(help="TOML file of emulated lines between the parties; takes root on Linux."),
    ] = None,
    directory: Annotated[Path, typer.Option("--dir", help="Folder of all ceremonies.")] = Path(
        "ceremonies"
    ),
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a ceremony; without --id the last one.")
    ] = False,
    waiting_time: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=2_592_000,
            help="Seconds before a silent operator may be written off. [default: 60]",
        ),
    ] = None,
    restart_operators: Annotated[
        bool, typer.Option("--restart-operators", help="Start operators again when they die.")
    ] = False,
    keep_openings: KeepOpenings = False,
    deputies: Annotated[
        int | None,
        typer.Option(max=8, help="Parties that may host the log in the coordinator's place."),
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="With --resume: the log's host is lost; move it.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="With --resume: who hosts the log, as deputy-1.")
    ] = "coordinator",
    enclave: Annotated[
        Enclaves | None,
        typer.Option(help="What operators run in; INSECURE: software stands in for enclaves."),
    ] = None,
    insecure_setup_seed: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="INSECURE: derive every secret from this seed."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a whole ceremony on this machine, every party in a process of its own."""
    from infra.sandbox.display import choose_display
    from infra.sandbox.options import SandboxOptions
    from infra.sandbox.run import run_sandbox

    options = SandboxOptions(
        directory=directory,
        identifier=identifier,
        operators=operators,
        threshold=threshold,
        parameters=parameters,
        scale=scale,
        waiting_seconds=waiting_time,
        setup_seed=insecure_setup_seed,
        resume=resume,
        restart_operators=restart_operators,
        network=network,
        keep_openings=keep_openings,
        deputies=deputies,
        take_over=take_over,
        host=host,
        enclave=enclave.value if enclave else "",
    )
    with ending(as_json=as_json):
        emit = print_json if as_json else _say_nothing
        result = run_sandbox(options, choose_display(), emit)
        if as_json:
            print_json({"event": "result", **result.as_dict()})
        else:
            typer.echo("\n".join(f"{name:<11}{place}" for name, place in result.as_dict().items()))


@app.command()
def verify(
    folder: Ceremony,
    *,
    plan_hash: Annotated[
        str | None, typer.Option("--plan-hash", help="The plan that it must be, in hex.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a finished ceremony again, offline and without secrets: 0, 3 incomplete, 4 invalid."""
    with ending(as_json=as_json):
        from infra.verify import verify_command

        raise typer.Exit(verify_command(folder, plan_hash=plan_hash, as_json=as_json))


@app.command()
def decrypt(
    folder: Ceremony,
    file: Annotated[Path, typer.Argument(help="A compact ciphertext list.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Let the operators of an insecure sandbox ceremony decrypt a ciphertext list together."""
    with ending(as_json=as_json):
        from infra.decrypt import decrypt_command

        raise typer.Exit(decrypt_command(folder, file, as_json=as_json))


app.command("bench")(bench)
app.command("estimate")(estimate)


def main() -> None:
    """Run the command line of this process."""
    forbid_core_dumps()
    app(prog_name="ringforge")


def _say_nothing(_: object) -> None:
    """Take an event that nobody asked for."""
