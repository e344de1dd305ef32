"""`ringforge verify`: one line for each check, the verdict last."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.cli.ending import UNVERIFIED, WAITING, print_json
from infra.verify.agenda import verify
from infra.verify.verdict import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from infra.verify.verdict import Verdict

__all__ = ["verify_command"]

EXIT_CODES = {Outcome.OK: 0, Outcome.INCOMPLETE: WAITING, Outcome.INVALID: UNVERIFIED}
WORDS = {
    Outcome.OK: "valid: every byte of plan, key set and transcript is what the operators signed",
    Outcome.INCOMPLETE: "incomplete: something is missing; nothing that is there is wrong",
    Outcome.INVALID: "INVALID: do not use this key set",
}
WITHOUT_OPENINGS = (
    "valid: every byte of plan, key set and transcript is what the operators signed; "
    "what is listed as not repeated rests on their signatures alone (sandbox --keep-openings)"
)


def verify_command(folder: Path, *, plan_hash: str | None, as_json: bool) -> int:
    """Check a finished ceremony and show what was found.

    Args:
        folder: the ceremony's folder.
        plan_hash: the hash, in hex, that the plan must have; any by default.
        as_json: one JSON object on standard output instead of lines for people.

    Returns:
        0 valid, 3 incomplete, 4 invalid.
    """
    verdict = verify(folder, plan_hash, lambda line: sys.stderr.write(f"verify: {line}\n"))
    code = EXIT_CODES[verdict.outcome]
    if as_json:
        print_json(_as_dict(verdict, code))
    else:
        sys.stdout.write(_as_text(verdict))
    for error in verdict.errors:
        sys.stderr.write(error.render() + "\n")
    return code


def _as_text(verdict: Verdict) -> str:
    width = max(len(check.name) for check in verdict.checks)
    lines = [
        f"{check.outcome:<11} {check.name:<{width}}  {check.detail}" for check in verdict.checks
    ]
    lines += [
        f"not repeated {part.check}: {part.what}; {part.why}" for part in verdict.not_repeated
    ]
    return "\n".join([*lines, _conclusion(verdict)]) + "\n"


def _conclusion(verdict: Verdict) -> str:
    if verdict.outcome is Outcome.OK and verdict.not_repeated:
        return WITHOUT_OPENINGS
    return WORDS[verdict.outcome]


def _as_dict(verdict: Verdict, code: int) -> dict[str, object]:
    return {
        "verdict": "valid" if verdict.outcome is Outcome.OK else str(verdict.outcome),
        "exit": code,
        "checks": [
            {
                "name": check.name,
                "outcome": str(check.outcome),
                "ok": check.ok,
                "detail": check.detail,
                **({} if check.error is None else {"error": check.error.as_dict()}),
            }
            for check in verdict.checks
        ],
        "not_repeated": [asdict(part) for part in verdict.not_repeated],
    }
