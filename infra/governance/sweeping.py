"""`ringforge operator sweep`: destroy what the plan's days are over for, and say what is kept."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING

from infra.cli.ending import print_json
from infra.homes import Home
from infra.party.retention import ending_of, sweep
from infra.plan import load_signed_plan
from infra.plan.document import parse_plan

if TYPE_CHECKING:
    from pathlib import Path

    from infra.party.retention import Artefact

__all__ = ["sweep_command"]


def sweep_command(folder: Path, *, dry_run: bool, as_json: bool) -> int:
    """Sweep an operator's home.

    Args:
        folder: the home; no process may work in it.
        dry_run: say what would be destroyed, and destroy nothing.
        as_json: one JSON object instead of lines for people.

    Returns:
        0.

    Raises:
        CeremonyError: RF-RUN-003 if a process works there, RF-PLAN-* if the plan is not signed, as
            `ending_of` and `sweep`.
    """
    home = Home(folder.resolve())
    home.check()
    limits = parse_plan(load_signed_plan(home.path).toml).retention
    with home.locked():
        end = ending_of(home)
        found = sweep(home, limits, end, dt.datetime.now(dt.UTC), act=not dry_run)
    if as_json:
        ended = None if end is None else {"how": end.how, "at": end.at.isoformat()}
        print_json({"ended": ended, "dry_run": dry_run, "artefacts": [_shown(x) for x in found]})
    else:
        sys.stdout.write("".join(f"{_line(each)}\n" for each in found))
    return 0


def _shown(artefact: Artefact) -> dict[str, object]:
    return {
        "name": artefact.name,
        "bytes": artefact.size,
        "fate": artefact.fate,
        "until": None if artefact.until is None else artefact.until.isoformat(),
        "why": artefact.why,
    }


def _line(artefact: Artefact) -> str:
    until = "" if artefact.until is None else f" until {artefact.until.isoformat()}"
    head = f"{artefact.name:<10}{artefact.fate:<11}{artefact.size:>12} bytes"
    return f"{head}  {artefact.why}{until}"
