"""The one error of the project: what happened, what it means, what to do next."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CeremonyError", "PageErrors"]


@dataclass(frozen=True, slots=True)
class _Field:
    """One labelled line of a rendered error."""

    label: str
    value: str

    def render(self) -> str:
        return f"  {self.label:<9} {self.value}"


class CeremonyError(Exception):
    """An error that explains itself to a person.

    Attributes:
        code: stable identifier, `RF-<AREA>-<number>`.
        subject: one sentence that says what happened.
        expected: what the rule demands.
        found: what was there instead; never a share or a key.
        effect: what it means for the ceremony.
        next_step: the command or action that helps.
        runbook: name of the page in runbooks/, without suffix.
        operator: the operator concerned, if it is one.
        stage: the stage concerned, if it is one.
    """

    def __init__(
        self,
        code: str,
        subject: str,
        *,
        expected: str = "",
        found: str = "",
        effect: str = "",
        next_step: str = "",
        runbook: str = "",
        operator: str = "",
        stage: str = "",
    ) -> None:
        super().__init__(f"{code}  {subject}")
        self.code = code
        self.subject = subject
        self.expected = expected
        self.found = found
        self.effect = effect
        self.next_step = next_step
        self.runbook = runbook
        self.operator = operator
        self.stage = stage

    def render(self) -> str:
        """Return the error as the lines that a person reads."""
        fields = (
            _Field("operator", self.operator),
            _Field("stage", self.stage),
            _Field("expected", self.expected),
            _Field("found", self.found),
            _Field("effect", self.effect),
            _Field("next", self.next_step),
            _Field("runbook", self.runbook),
        )
        lines = [f"{self.code}  {self.subject}"]
        lines += [field.render() for field in fields if field.value]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, str]:
        """Return the fields by name, for `--json`."""
        return {
            "code": self.code,
            "subject": self.subject,
            "operator": self.operator,
            "stage": self.stage,
            "expected": self.expected,
            "found": self.found,
            "effect": self.effect,
            "next": self.next_step,
            "runbook": self.runbook,
        }


@dataclass(frozen=True, slots=True)
class PageErrors:
    """Makes errors that share a page and, unless one says otherwise, an effect.

    Attributes:
        effect: what they mean for the ceremony.
        runbook: name of their page.
    """

    effect: str
    runbook: str

    def __call__(
        self,
        code: str,
        subject: str,
        expected: str,
        found: str,
        next_step: str,
        *,
        effect: str = "",
        operator: str = "",
    ) -> CeremonyError:
        """Return an error of this page; the arguments are fields of `CeremonyError`."""
        return CeremonyError(
            code,
            subject,
            expected=expected,
            found=found,
            effect=effect or self.effect,
            next_step=next_step,
            runbook=self.runbook,
            operator=operator,
        )
