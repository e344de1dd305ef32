"""`ringforge drill`: ceremonies that go wrong on purpose."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.ending import ending
from infra.cli.options import AsJson

__all__ = ["drill"]

drill = typer.Typer(help="Ceremonies that go wrong on purpose.")


@drill.command("chaos")
def drill_chaos(
    *,
    kills: Annotated[int, typer.Option(min=1, help="Disturbances, over as many ceremonies.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the first ceremony; each next has the next.")] = 1,
    directory: Annotated[
        Path, typer.Option("--dir", help="Folder of the ceremonies; one that fails is kept.")
    ] = Path("drills"),
    patience: Annotated[
        float, typer.Option(min=30, help="Seconds without a step after which one has failed.")
    ] = 600,
    per_ceremony: Annotated[
        int | None, typer.Option(min=1, help="Disturbances of a ceremony. [default: 6 to 14]")
    ] = None,
    postgresql: Annotated[
        Path | None,
        typer.Option(help="Folder of initdb and postgres: keep the log there, and kill it too."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Kill, stop, damage and fill up the processes of ceremonies at random moments."""
    from infra.drill.chaos import ChaosOptions, chaos_command

    with ending(as_json=as_json):
        options = ChaosOptions(
            kills,
            seed,
            directory,
            patience_seconds=patience,
            per_ceremony=per_ceremony,
            postgresql=postgresql,
        )
        raise typer.Exit(chaos_command(options, as_json=as_json))


@drill.command("liar")
def drill_liar(
    *,
    lie: Annotated[str, typer.Option(help="As the assurance case names it.")] = "wrong-answer",
    operators: Annotated[int, typer.Option(min=4, max=13, help="One of them lies.")] = 4,
    in_memory: Annotated[
        bool, typer.Option("--in-memory", help="Small keys, no processes; any lie.")
    ] = False,
    directory: Annotated[
        Path, typer.Option("--dir", help="Folder of the ceremonies and of the evidence.")
    ] = Path("drills"),
    as_json: AsJson = False,
) -> None:
    """Have one operator lie: who is named, on what evidence, and what the ceremony takes longer."""
    from infra.drill.liar import LiarOptions, liar_command

    with ending(as_json=as_json):
        options = LiarOptions(lie, operators, directory, in_memory)
        raise typer.Exit(liar_command(options, as_json=as_json))


@drill.command("enclave")
def drill_enclave(
    *,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", help="What is false, as `changed-code`; may be repeated. [all]"),
    ] = None,
    directory: Annotated[Path, typer.Option("--dir", help="Folder of the ceremonies.")] = Path(
        "drills"
    ),
    as_json: AsJson = False,
) -> None:
    """Have one operator's enclave be false: all others must refuse it by name, and go on."""
    from infra.drill.enclave import KINDS, EnclaveOptions, enclave_command

    if unknown := set(kinds or ()) - set(KINDS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: not one of {', '.join(KINDS)}")
    with ending(as_json=as_json):
        options = EnclaveOptions(tuple(kinds or KINDS), directory)
        raise typer.Exit(enclave_command(options, as_json=as_json))


@drill.command("simulate")
def drill_simulate(
    *,
    schedules: Annotated[int, typer.Option(min=1, help="Ceremonies, one after another.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the first schedule; each next has the next.")] = 1,
    operators: Annotated[
        int | None, typer.Option(min=4, max=13, help="Of every ceremony. [default: as drawn]")
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Show and run the schedule of this seed alone.")
    ] = False,
) -> None:
    """Run ceremonies in memory under random schedules of crashes, losses, delays and lies."""
    from infra.drill.simulate import SimulateOptions, simulate_command

    with ending(as_json=False):
        options = SimulateOptions(schedules, seed, operators, replay)
        simulate_command(options, lambda line: typer.echo(line, err=True))
