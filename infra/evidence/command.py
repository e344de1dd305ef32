"""`ringforge evidence list|show|verify`: who was accused of what, as text, JSON and files."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli.ending import UNVERIFIED, print_json
from infra.evidence.bundle import read_bundle, write_bundle
from infra.evidence.cases import bundle_of, cases_of
from infra.evidence.check import check_bundle
from infra.evidence.source import open_source
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from infra.evidence.cases import Case

__all__ = ["list_command", "show_command", "verify_command"]


def list_command(folder: Path, *, as_json: bool) -> int:
    """Show every accusation of a ceremony, one line each; return the exit code."""
    cases = cases_of(open_source(folder))
    if as_json:
        print_json({"accusations": [asdict(case) for case in cases]})
        return 0
    lines = [
        f"{case.number:>3}  {case.accused}  {case.ground:<12}  {case.batch or 'log':<13}"
        f"  {case.verdict}"
        for case in cases
    ]
    sys.stdout.write("\n".join(lines or ["nobody is accused of anything"]) + "\n")
    return 0


def show_command(folder: Path, number: int, output: Path | None, *, as_json: bool) -> int:
    """Show one accusation, and write the file that proves it; return the exit code.

    Args:
        folder: the ceremony's folder or an operator's home.
        number: as `list` shows it.
        output: the file to write; evidence-<number>.cbor by default.
        as_json: one JSON object on standard output instead of lines for people.
    """
    source = open_source(folder)
    bundle = bundle_of(source, number)
    case = cases_of(source)[number - 1]
    path = output or Path(f"evidence-{number}.cbor")
    write_bundle(path, bundle)
    if as_json:
        print_json({**asdict(case), "file": str(path), "entries": len(bundle.entries)})
    else:
        sys.stdout.write(_as_text(case, str(path)))
    return 0


def verify_command(file: Path, *, plan_hash: str | None, as_json: bool) -> int:
    """Check a file of evidence, offline; return 0 if it is proven, 4 if not."""
    try:
        proven = check_bundle(read_bundle(file), plan_hash)
    except CeremonyError as error:
        if as_json:
            print_json({"proven": False, "exit": UNVERIFIED, "error": error.as_dict()})
        sys.stderr.write(error.render() + "\n")
        return UNVERIFIED
    if as_json:
        print_json({"proven": True, "exit": 0, **asdict(proven)})
        return 0
    pinned = "as pinned" if plan_hash else "not pinned by --plan-hash"
    lines = [*(f"ok  {check}" for check in proven.checks)]
    where = f" in batch {proven.batch}" if proven.batch else ""
    lines.append(f"proven: {proven.operator}, ground {proven.ground}{where}; plan {pinned}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _as_text(case: Case, path: str) -> str:
    rows = {
        "accused": case.accused,
        "ground": case.ground,
        "batch": case.batch or "none: it is about the log",
        "round": str(case.round),
        "shown by": ", ".join(case.accusers) or "nobody: it follows from the posted keys",
        "confirmed": ", ".join(case.confirmed_by) or "by nobody",
        "entries": ", ".join(map(str, case.positions)) or "none",
        "verdict": case.verdict,
        "file": path,
    }
    return "".join(f"{name:<10} {value}\n" for name, value in rows.items())
