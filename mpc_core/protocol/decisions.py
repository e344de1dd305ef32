"""What people decide together during a ceremony: to pause, to resume, to wait longer, to abort.

The rules (PROTOCOL.md, "Model", decisions):

- a decision entry is one operator's voice for the next decision, numbered by those before it;
- a decision is taken at the entry that makes the voices for the same thing as many as the plan
  demands, from operators that are not excluded; voices for anything else lapse then;
- while the ceremony is paused nobody signs a statement, and deadlines start anew when it goes on;
- an extension is added to the waiting time; all together they stay within the plan's buffer;
- after an abort every entry is void, and nothing is destroyed any more;
- once the key set is announced there is nothing left to decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpc_core.protocol.rules import VoidEntryError, require

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from mpc_core.protocol.entries import Decision, LogEntry
    from mpc_core.protocol.plan import Plan

__all__ = ["ABORT", "EXTENSION", "MOST_REASON_BYTES", "PAUSE", "RESUME", "Decisions", "Taken"]

PAUSE, RESUME, EXTENSION, ABORT = "pause", "resume", "extension", "abort"

MOST_REASON_BYTES = 280


@dataclass(frozen=True, slots=True)
class Taken:
    """A decision that was taken.

    Attributes:
        position: log position of the entry that made the voices enough.
        what: what was decided.
        seconds: by how much the waiting time grew; 0 for anything else.
        voices: operator and reason of each, in log order.
    """

    position: int
    what: str
    seconds: int
    voices: tuple[tuple[int, str], ...]


@dataclass(slots=True)
class Decisions:
    """Bookkeeping of decisions along the log."""

    plan: Plan
    taken: list[Taken] = field(default_factory=list)
    open: dict[tuple[str, int], dict[int, str]] = field(default_factory=dict)

    @property
    def is_paused(self) -> bool:
        """Whether the last word on it was to pause."""
        last = next((each for each in reversed(self.taken) if each.what in (PAUSE, RESUME)), None)
        return last is not None and last.what == PAUSE

    @property
    def abort(self) -> Taken | None:
        """The decision that ended the ceremony."""
        return next((each for each in self.taken if each.what == ABORT), None)

    @property
    def resumed_at(self) -> int:
        """Log position of the last resumption, -1 if there was none."""
        return max((each.position for each in self.taken if each.what == RESUME), default=-1)

    @property
    def extension_seconds(self) -> int:
        """By how much the waiting time has grown."""
        return sum(each.seconds for each in self.taken)

    def quorum(self, what: str) -> int:
        """Return how many operators have to sign this; who may pause may go on."""
        rules = self.plan.decision_rules
        quorums = {
            PAUSE: rules.pause,
            RESUME: rules.pause,
            EXTENSION: rules.extension,
            ABORT: rules.abort,
        }
        require(what in quorums, "nobody can decide that")
        return quorums[what]

    def objection(self, operator: int, entry: Decision) -> str:
        """Return why a voice does not count at the end of the log, "" if it does."""
        try:
            self.check(operator, entry)
        except VoidEntryError as reason:
            return str(reason)
        return ""

    def check(self, operator: int, entry: Decision) -> None:
        """Void a voice for something that cannot be decided now."""
        self.quorum(entry.what)
        require(entry.serial == len(self.taken), "another decision is the next one")
        require(entry.reason.isprintable(), "the reason cannot be shown as it is")
        require(len(entry.reason.encode()) <= MOST_REASON_BYTES, "the reason is too long")
        require(entry.what != PAUSE or not self.is_paused, "the ceremony is paused already")
        require(entry.what != RESUME or self.is_paused, "the ceremony is not paused")
        longest = self.plan.deadlines.extension_seconds - self.extension_seconds
        allowed = 0 < entry.seconds <= longest if entry.what == EXTENSION else entry.seconds == 0
        require(allowed, "the plan allows no such extension")
        same = self.open.get((entry.what, entry.seconds), {})
        require(operator not in same, "the operator has said so already")

    def hear(self, log: LogEntry, entry: Decision, excluded: AbstractSet[int]) -> None:
        """Count a voice, and take the decision if it was the last one that was needed.

        Security: every quorum is more than t, so liars alone decide nothing; they can raise their
            voices, which lapse with the next decision.
        """
        self.check(log.author, entry)
        voices = self.open.setdefault((entry.what, entry.seconds), {})
        voices[log.author] = entry.reason
        counted = tuple((each, why) for each, why in voices.items() if each not in excluded)
        if len(counted) >= self.quorum(entry.what):
            self.taken.append(Taken(log.position, entry.what, entry.seconds, counted))
            self.open.clear()
