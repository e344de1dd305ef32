"""What changed in meaning from one plan to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.governance.table import second_key_text
from infra.plan.sections import Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from infra.plan.document import PlanDocument
    from infra.plan.sections import (
        AuditorSection,
        DeputySection,
        OperatorSection,
        RepresentativeSection,
    )

    _Named = OperatorSection | DeputySection | RepresentativeSection | AuditorSection

__all__ = ["Change", "changes", "succeeds"]

_LISTS = {
    "operators": "operator",
    "deputies": "deputy",
    "representatives": "representative",
    "auditors": "auditor",
}
_APART = {*_LISTS, "ml_dsa_keys", "revision", "version"}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs; `old` or `new` is "" where there is none.

    Attributes:
        what: the field, with the party that it belongs to.
        old: its value in the first plan.
        new: its value in the second.
    """

    what: str
    old: str
    new: str

    def render(self) -> str:
        """Return the change as a person reads it."""
        return f"{self.what}: {self.old or 'none'} -> {self.new or 'none'}"


def changes(old: PlanDocument, new: PlanDocument) -> tuple[Change, ...]:
    """Return what changed; version number and previous hash are `succeeds`' business."""
    found = list(_fields("", old, new, _APART))
    for listed, role in _LISTS.items():
        found += _parties(role, getattr(old, listed), getattr(new, listed))
    for name in dict.fromkeys((*old.party_names, *new.party_names)):
        found += _changed(
            f"ML-DSA-65 key of {name}", *(second_key_text(each, name) for each in (old, new))
        )
    return tuple(found)


def succeeds(old: PlanDocument, new: PlanDocument) -> bool:
    """Tell whether the second plan says that it is the next version of the first."""
    revision = new.revision
    return (
        revision is not None
        and revision.number == old.number + 1
        and revision.previous == old.hash.hex()
        and new.ceremony_id == old.ceremony_id
    )


def _fields(
    prefix: str, old: Section | None, new: Section | None, apart: Iterable[str] = ()
) -> Iterator[Change]:
    """Compare two sections, of which one may be missing, field by field."""
    known = [section for section in (old, new) if section is not None]
    names = type(known[0]).model_fields if known else ()
    for name in (name for name in names if name not in apart):
        before, after = (getattr(each, name, None) for each in (old, new))
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(before or after, Section):
            yield from _fields(f"{label}, ", before, after)
        else:
            yield from _changed(label, _text(before), _text(after))


def _parties(role: str, old: tuple[_Named, ...], new: tuple[_Named, ...]) -> Iterator[Change]:
    before, after = ({each.name: each for each in parties} for parties in (old, new))
    for name in dict.fromkeys((*before, *after)):
        if name not in after:
            yield Change(f"{role} {name}", "takes part", "does not")
        elif name not in before:
            yield Change(f"{role} {name}", "does not", "takes part")
        else:
            yield from _fields(f"{role} {name}, ", before[name], after[name], {"name"})


def _changed(what: str, old: str, new: str) -> Iterator[Change]:
    if old != new:
        yield Change(what, old, new)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
