"""`ringforge plan` and `ringforge approve`: what everybody signs before anything runs."""

# ruff: noqa: PLC0415 - what a command does is imported when it runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.ending import ending

__all__ = ["Representative", "approve", "decide", "decisions", "operator_sweep", "plan"]

plan = typer.Typer(help="Plans: what everybody signs before anything runs.")

Plan = Annotated[Path, typer.Argument(help="plan.toml, or the folder it lies in.")]
Home = Annotated[Path, typer.Option("--home", help="Home of who signs, with its identity.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]
Said = Annotated[str | None, typer.Option()]
Representative = Annotated[
    Path | None,
    typer.Option(
        "--representative",
        help="Home of who speaks for the operator, if the plan names somebody.",
    ),
]


@plan.command("identity")
def plan_identity(
    home: Annotated[Path, typer.Option("--home", help="Folder to make, called as the party.")],
    *,
    organisation: Said = None,
    site: Said = None,
    jurisdiction: Annotated[str | None, typer.Option(help="ISO 3166, as FR or US-CA.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="As Europe/Paris.")] = None,
    contact: Annotated[str | None, typer.Option(help="How its people are reached.")] = None,
    kms_key: Annotated[str | None, typer.Option(help="ARN of the key of its vault.")] = None,
    storage: Annotated[str | None, typer.Option(help="Where its sealed objects lie.")] = None,
) -> None:
    """Make a home with a fresh identity; its card, for who drafts the plan, goes to stdout."""
    with ending(as_json=False):
        from infra.governance.command import identity_command

        particulars = {
            "organisation": organisation,
            "site": site,
            "jurisdiction": jurisdiction,
            "time_zone": time_zone,
            "contact": contact,
            "kms_key": kms_key,
            "storage": storage,
        }
        said = {name: value for name, value in particulars.items() if value is not None}
        raise typer.Exit(identity_command(home, said))


@plan.command("new")
def plan_new(
    *,
    answers: Annotated[Path | None, typer.Option(help="TOML file of what was chosen.")] = None,
    parameters: Annotated[str | None, typer.Option(help="Parameter set.")] = None,
    threshold: Annotated[int | None, typer.Option(help="How many may crash or lie.")] = None,
    operators: Annotated[
        list[Path] | None, typer.Option("--operator", help="Card of an operator.")
    ] = None,
    coordinator: Annotated[Path | None, typer.Option(help="Card of the coordinator.")] = None,
    deputies: Annotated[
        list[Path] | None, typer.Option("--deputy", help="Card of a deputy.")
    ] = None,
    representatives: Annotated[
        list[str] | None,
        typer.Option(
            "--representative", help="OPERATOR=CARD of who speaks for an operator in an enclave."
        ),
    ] = None,
    auditors: Annotated[
        list[Path] | None, typer.Option("--auditor", help="Card of an auditor.")
    ] = None,
    without_enclaves: Annotated[
        bool,
        typer.Option(
            "--without-enclaves", help="Nothing proves what operators run; the plan says so."
        ),
    ] = False,
    revises: Annotated[
        Path | None, typer.Option(help="plan.toml that the new one takes the place of.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The file to write.")] = Path("plan.toml"),
) -> None:
    """Draft a plan from an answers file, or from options and cards."""
    with ending(as_json=False):
        from infra.governance.answers import read_card, represented
        from infra.governance.command import new_command

        said: dict[str, object] = {"parameters": parameters, "threshold": threshold}
        if coordinator is not None:
            said["coordinator"] = read_card(coordinator)
        roles = {"operators": operators, "deputies": deputies, "auditors": auditors}
        said |= {role: tuple(map(read_card, cards)) for role, cards in roles.items() if cards}
        if without_enclaves:
            said["without_enclaves"] = True
        if representatives:
            said["representatives"] = tuple(map(represented, representatives))
        given = {name: value for name, value in said.items() if value is not None}
        raise typer.Exit(new_command(answers, given, revises, output))


@plan.command("show")
def plan_show(path: Plan, *, as_json: AsJson = False) -> None:
    """Show what a plan says, its hash in hex and in words, and who has yet to sign."""
    with ending(as_json=as_json):
        from infra.governance.command import show_command

        raise typer.Exit(show_command(path, as_json=as_json))


@plan.command("diff")
def plan_diff(
    old: Annotated[Path, typer.Argument(help="A plan.toml.")],
    new: Annotated[Path, typer.Argument(help="Another one.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show what changed in meaning from one plan to another."""
    with ending(as_json=as_json):
        from infra.governance.command import diff_command

        raise typer.Exit(diff_command(old, new, as_json=as_json))


@plan.command("sign")
def plan_sign(path: Plan, home: Home, *, as_json: AsJson = False) -> None:
    """Sign a plan, for scripts: people use `ringforge approve`. 0 signed by all, 3 not yet."""
    with ending(as_json=as_json):
        from infra.governance.command import sign_command

        raise typer.Exit(sign_command(path, home, as_json=as_json))


@plan.command("collect")
def plan_collect(
    path: Plan,
    files: Annotated[list[Path], typer.Argument(help="Other copies of plan.sig.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Take the signatures that others sent into plan.sig. 0 signed by all, 3 not yet."""
    with ending(as_json=as_json):
        from infra.governance.command import collect_command

        raise typer.Exit(collect_command(path, files, as_json=as_json))


@plan.command("check")
def plan_check(
    path: Plan,
    *,
    previous: Annotated[
        Path | None, typer.Option(help="plan.toml whose next version it must be.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check all of a plan: 0 signed by all, 3 not yet, 4 not valid."""
    with ending(as_json=as_json):
        from infra.governance.command import check_command

        raise typer.Exit(check_command(path, previous, as_json=as_json))


def approve(
    path: Plan,
    home: Home,
    *,
    words: Annotated[
        str | None, typer.Option(help="The hash in words or hex, for scripts; else it asks.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a plan, have its hash typed as the others read it, and sign it."""
    with ending(as_json=as_json):
        from infra.governance.command import approve_command

        def ask(question: str) -> str:
            return str(typer.prompt(question, prompt_suffix="", err=True))

        raise typer.Exit(approve_command(path, home, words, ask, as_json=as_json))


def decide(
    what: Annotated[str, typer.Argument(help="pause, resume, extension or abort.")],
    home: Home,
    *,
    reason: Annotated[str, typer.Option(help="Shown to everybody, in at most 280 bytes.")] = "",
    seconds: Annotated[
        int, typer.Option(min=0, max=2_592_000, help="By how much an extension lengthens the wait.")
    ] = 0,
    representative: Representative = None,
    as_json: AsJson = False,
) -> None:
    """Sign, as an operator, that the ceremony is to pause, go on, wait longer or end."""
    with ending(as_json=as_json):
        from infra.governance.voting import decide_command

        code = decide_command(home, what, reason, seconds, representative, as_json=as_json)
        raise typer.Exit(code)


def decisions(
    folder: Annotated[Path, typer.Argument(help="Folder of a ceremony, or home of an operator.")],
    *,
    as_json: AsJson = False,
) -> None:
    """List what was decided during a ceremony, write-offs too, with who signed it."""
    with ending(as_json=as_json):
        from infra.governance.voting import decisions_command

        raise typer.Exit(decisions_command(folder, as_json=as_json))


def operator_sweep(
    *,
    home: Annotated[Path, typer.Option("--home", help="Home of an operator that does not run.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be destroyed, and do nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Destroy what the plan's days of retention are over for; say what is kept, and why."""
    with ending(as_json=as_json):
        from infra.governance.sweeping import sweep_command

        raise typer.Exit(sweep_command(home, dry_run=dry_run, as_json=as_json))
