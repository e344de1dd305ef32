"""`ringforge decide` and `ringforge decisions`: what people want, and what they decided."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from activities.voices import VOICES
from infra.board import export, wire
from infra.cli.ending import print_json
from infra.evidence.source import open_source
from infra.governance.refusals import governance_error
from infra.governance.speaking import place_of, speaker_identity
from infra.governance.standing import Standing
from infra.homes import Home
from infra.plan import load_signed_plan
from mpc_core.protocol.entries import Decision

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mpc_core.protocol.errors import CeremonyError
    from mpc_core.protocol.plan import Plan

__all__ = ["Listed", "decide_command", "decisions_command", "listed"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A decision as `ringforge decisions` shows it.

    Attributes:
        entry: log position at which it was taken; -1 while voices are missing.
        what: what is decided.
        signed_by: names of those whose signatures count.
        needed: how many the plan demands.
        reasons: what they gave as reasons.
    """

    entry: int
    what: str
    signed_by: tuple[str, ...]
    needed: int
    reasons: tuple[str, ...]

    def render(self) -> str:
        """Return the decision as a line for people."""
        where = f"entry {self.entry}" if self.entry >= 0 else "not taken"
        because = f": {'; '.join(self.reasons)}" if self.reasons else ""
        count = f"{len(self.signed_by)} of {self.needed}"
        return f"{where:<12} {self.what}, signed by {', '.join(self.signed_by)} ({count}){because}"


def decide_command(
    folder: Path,
    what: str,
    reason: str,
    seconds: int,
    representative: Path | None,
    *,
    as_json: bool,
) -> int:
    """Sign what an operator's people want decided, and leave it to the operator's process.

    Args:
        folder: the operator's home; outside of its enclave one with the signed plan is enough.
        what: "pause", "resume", "extension" or "abort".
        reason: shown to everybody.
        seconds: of an extension.
        representative: home of who speaks for the operator, if the plan names somebody.
        as_json: one JSON object instead of lines for people.

    Raises:
        CeremonyError: RF-GOVERN-008 if the plan or the log does not allow it now, RF-GOVERN-009 if
            the operator's enclave has not said how things stand, RF-GOVERN-010 if somebody else
            speaks for the operator, RF-PLAN-010 if a home does not hold the identity.
    """
    home = Home(folder.resolve())
    home.check()
    plan = load_signed_plan(home.path).plan
    index = plan.index_of(home.name)
    if not index:
        raise _refused("a home of an operator of the plan", home.name)
    place = place_of(home, plan)
    standing = place.standing()
    decisions = standing.decisions(plan)
    entry = Decision(what, len(decisions.taken), seconds, reason)
    objection = standing.objection or decisions.objection(index, entry)
    if objection:
        raise _refused("something that can be decided now", objection)
    speaker = speaker_identity(home, plan, representative)
    envelope = wire.sign_decision(entry, plan, index, speaker)
    place.voices.write(f"{VOICES}/{hashlib.sha256(envelope).hexdigest()}", envelope)
    needed = decisions.quorum(what)
    if as_json:
        print_json({"operator": home.name, **asdict(entry), "needed": needed})
    else:
        sys.stdout.write(
            f"{home.name} signed: {what}. Its process posts it; {needed} of {plan.count} operators "
            "have to.\n"
        )
    return 0


def decisions_command(folder: Path, *, as_json: bool) -> int:
    """List every decision of a ceremony, with who signed it."""
    plan, standing = _standing_in(folder)
    found = tuple(listed(plan, standing))
    if as_json:
        print_json({"decisions": [asdict(each) for each in found]})
    else:
        lines = [each.render() for each in found] or ["nothing was decided"]
        sys.stdout.write("\n".join(lines) + "\n")
    return 0


def listed(plan: Plan, standing: Standing) -> Iterator[Listed]:
    """Return decisions and write-offs in the order of the log, then those that miss voices."""
    decisions = standing.decisions(plan)
    found = [
        Listed(
            position,
            f"write-off of {plan.name_of(operator)}",
            _names(plan, signers),
            plan.decision_rules.write_off,
            (),
        )
        for position, operator, signers in standing.write_offs
    ]
    for each in standing.taken:
        voices, reasons = zip(*each.voices, strict=True)
        what = _worded(each.what, each.seconds)
        found.append(
            Listed(
                each.position,
                what,
                _names(plan, voices),
                decisions.quorum(each.what),
                tuple(filter(None, reasons)),
            )
        )
    yield from sorted(found, key=lambda each: each.entry)
    for waiting in standing.open:
        yield Listed(
            -1,
            _worded(waiting.what, waiting.seconds),
            _names(plan, tuple(operator for operator, _ in waiting.voices)),
            decisions.quorum(waiting.what),
            tuple(reason for _, reason in waiting.voices if reason),
        )


def _standing_in(folder: Path) -> tuple[Plan, Standing]:
    """Return the plan and how things stand: by a log that lies there, or on an operator's desk."""
    log = _with_a_log(folder)
    if log is None:
        home = Home(folder.resolve())
        plan = load_signed_plan(home.path).plan
        return plan, place_of(home, plan).standing()
    state = open_source(log).state
    return state.plan, Standing.of(state)


def _names(plan: Plan, operators: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(plan.name_of(operator) for operator in operators)


def _worded(what: str, seconds: int) -> str:
    return f"{what} by {seconds} s" if seconds else what


def _with_a_log(folder: Path) -> Path | None:
    """Return where a ceremony's log can be read: its transcript, or the longest of its homes."""
    if (folder / "transcript" / export.ENTRIES_FILE).is_file():
        return folder
    homes = [log.parents[1] for log in (folder / "work/log", *folder.glob("operators/*/work/log"))]
    known = [home for home in homes if Home(home).log_copy.is_file()]
    return max(known, key=lambda home: Home(home).log_copy.stat().st_size, default=None)


def _refused(expected: str, found: str) -> CeremonyError:
    return governance_error(
        "RF-GOVERN-008",
        "this cannot be decided here and now",
        expected,
        found,
        "ringforge decisions shows what was decided",
        effect="nothing was signed",
    )
