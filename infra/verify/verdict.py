"""What a verification finds: one outcome for every check, and one for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FILE_MISSING",
    "FILE_TOO_SHORT",
    "Check",
    "NotRepeated",
    "Outcome",
    "Recorder",
    "Verdict",
    "invalid",
]

T = TypeVar("T")

FILE_MISSING, FILE_TOO_SHORT = "RF-VERIFY-001", "RF-VERIFY-002"
INCOMPLETE_CODES = frozenset({FILE_MISSING, FILE_TOO_SHORT})


class Outcome(StrEnum):
    """What a check found; SKIPPED is what could not be looked at after an earlier finding."""

    OK = "ok"
    INVALID = "invalid"
    INCOMPLETE = "incomplete"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `error` says what is wrong where something is."""

    name: str
    outcome: Outcome
    detail: str
    error: CeremonyError | None = None

    @property
    def ok(self) -> bool:
        """Whether everything that was counted is right."""
        return self.outcome is Outcome.OK


@dataclass(frozen=True, slots=True)
class NotRepeated:
    """Part of a check that could not be made, since the transcript leaves out what it takes.

    Attributes:
        check: name of the check.
        what: what was not looked at.
        why: why that matters, and what stands in its place.
    """

    check: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks, in the order in which they were made, and what they did not cover."""

    checks: tuple[Check, ...]
    not_repeated: tuple[NotRepeated, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """OK only if every check is; INVALID if anything is wrong, else INCOMPLETE."""
        found = {check.outcome for check in self.checks}
        if Outcome.INVALID in found:
            return Outcome.INVALID
        return Outcome.OK if found == {Outcome.OK} else Outcome.INCOMPLETE

    @property
    def errors(self) -> tuple[CeremonyError, ...]:
        """What is wrong."""
        return tuple(check.error for check in self.checks if check.error is not None)

    def __getitem__(self, name: str) -> Check:
        """Return the check of that name."""
        return next(check for check in self.checks if check.name == name)


@dataclass(slots=True)
class Recorder:
    """Makes checks and notes what they find."""

    checks: list[Check] = field(default_factory=list)

    def take(self, name: str, check: Callable[..., tuple[T, str]], *given: object) -> T | None:
        """Make a check if what it is given is there.

        Args:
            name: what people read.
            check: returns what later checks need, and what was counted; raises `CeremonyError`.
            given: what earlier checks returned; None where they failed.

        Returns:
            What the check returned, None if it failed or was skipped.
        """
        if any(value is None for value in given):
            self.checks.append(Check(name, Outcome.SKIPPED, "needs what was not found above"))
            return None
        try:
            value, detail = check(*given)
        except CeremonyError as error:
            outcome = Outcome.INCOMPLETE if error.code in INCOMPLETE_CODES else Outcome.INVALID
            self.checks.append(Check(name, outcome, error.subject, error))
            return None
        self.checks.append(Check(name, Outcome.OK, detail))
        return value


def invalid(
    code: str, subject: str, *, expected: str = "", found: str = "", operator: str = ""
) -> CeremonyError:
    """Return the finding that something is not as the operators signed it."""
    return CeremonyError(
        code,
        subject,
        expected=expected,
        found=found,
        effect="this result is not proven; do not use the key set",
        next_step="fetch the folder again; if two copies fail alike, ask the operators",
        runbook="verification-failed",
        operator=operator,
    )
