"""`ringforge bench` and `ringforge estimate`: what the protocol costs, measured and predicted."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.ending import ending
from infra.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["bench", "estimate"]


def bench(*, as_json: AsJson = False) -> None:
    """Measure the steps of the protocol on this machine."""
    with ending(as_json=as_json):
        from infra.bench.command import bench_command

        raise typer.Exit(bench_command(as_json=as_json))


def estimate(
    *,
    plan: Annotated[Path | None, typer.Option(help="A plan.toml; else a set and a size.")] = None,
    parameters: Annotated[str, typer.Option(help="Parameter set.")] = "mainnet",
    operators: Annotated[int, typer.Option(help="Number of operators.")] = 4,
    threshold: Annotated[
        int | None, typer.Option(help="How many may crash or lie. [default: (n-1)/3]")
    ] = None,
    bandwidth: Annotated[
        str | None, typer.Option(help="Of a machine's link, as 500Mbps. [default: 1Gbps]")
    ] = None,
    rtt: Annotated[
        str | None, typer.Option(help="Round trip between operators. [default: 80ms]")
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="Of a machine. [default: those of this one]")
    ] = None,
    operators_per_machine: Annotated[
        int | None, typer.Option(min=1, help="How many share a machine. [default: 1]")
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Everything on this machine, no network.")
    ] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure overheads by two small ceremonies first.")
    ] = False,
    compare: Annotated[
        Path | None, typer.Option(help="Folder of a finished ceremony: its figures beside these.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict time, bytes, memory and disk of a ceremony from measurements on this machine."""
    with ending(as_json=as_json):
        from infra.estimate.command import (
            EstimateOptions,
            estimate_command,
            parse_bandwidth,
            parse_seconds,
        )

        options = EstimateOptions(
            plan=plan,
            parameters=parameters,
            operators=operators,
            threshold=threshold,
            bandwidth=_parsed(bandwidth, parse_bandwidth, "--bandwidth"),
            rtt=_parsed(rtt, parse_seconds, "--rtt"),
            cores=cores,
            operators_per_machine=operators_per_machine,
            sandbox=sandbox,
            calibrate=calibrate,
            compare=compare,
        )
        raise typer.Exit(estimate_command(options, as_json=as_json))


def _parsed(text: str | None, parse: Callable[[str], float], option: str) -> float | None:
    """Return what an option says; a text that says nothing is wrong usage."""
    try:
        return None if text is None else parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}", param_hint=option) from error
