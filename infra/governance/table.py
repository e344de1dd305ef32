"""A plan as people read it before they sign it: what it says, and its hash in hex and in words."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from infra.plan.sections import Particulars
from infra.plan.words import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from infra.plan.document import PlanDocument
    from infra.plan.sections import OperatorSection

__all__ = ["WITHOUT_ENCLAVES", "fingerprint_lines", "second_key_text", "table_lines"]

WITHOUT_ENCLAVES = (
    "nothing proves what software an operator runs, no connection is attested, and vaults are "
    "files that whoever administers the machine can read"
)
"""What everybody accepts who signs a plan without enclaves."""

_WIDTH = 16
_WORDS_A_LINE = 8
_OPERATOR_FIELDS = (*Particulars.model_fields, "identity_key")


def table_lines(document: PlanDocument, missing: Iterable[str] | None = None) -> list[str]:
    """Return the lines that show a plan.

    Args:
        document: the plan.
        missing: who has not signed it yet; None if nobody looked.
    """
    rows = [*_what(document), *_rules(document)]
    lines = [f"{name:<{_WIDTH}}{value}" for name, value in rows]
    for operator in document.operators:
        lines += ["", *_operator(document, operator)]
    lines += ["", *(f"{name:<{_WIDTH}}{value}" for name, value in _others(document))]
    if missing is not None:
        lines += [f"{'not signed by':<{_WIDTH}}{', '.join(missing) or 'nobody: it is signed'}"]
    return [*lines, "", *fingerprint_lines(document)]


def fingerprint_lines(document: PlanDocument) -> list[str]:
    """Return the plan's hash in hex and in words, as people read it to each other."""
    words = words_of(document.hash)
    rows = [words[at : at + _WORDS_A_LINE] for at in range(0, len(words), _WORDS_A_LINE)]
    labels = ["words", *("" for _ in rows[1:])]
    return [
        f"{'hash':<{_WIDTH}}{document.hash.hex()}",
        *(f"{label:<{_WIDTH}}{' '.join(row)}" for label, row in zip(labels, rows, strict=True)),
    ]


def _what(document: PlanDocument) -> Iterator[tuple[str, str]]:
    revision = document.revision
    after = f", in the place of {revision.previous}" if revision else ", the first"
    yield "plan", f"version {document.number}{after}"
    yield "ceremony", document.ceremony_id
    yield "parameters", document.parameters
    yield "committee", f"{len(document.operators)} operators, {document.threshold} may crash or lie"
    if document.sandbox:
        shortcuts = ", ".join(document.insecure) or "no insecure shortcut"
        yield "sandbox", f"yes: not for production; {shortcuts}"
    else:
        yield "sandbox", "no"
    if document.without_enclaves:
        yield "NO ENCLAVES", WITHOUT_ENCLAVES


def _rules(document: PlanDocument) -> Iterator[tuple[str, str]]:
    deadlines, layout = document.deadlines, document.layout
    extension = deadlines.extension_seconds
    more = f"{extension} s more by decision" if extension else "no extension"
    yield (
        "deadlines",
        (
            f"{deadlines.step_seconds:g} s a step, {deadlines.waiting_seconds:g} s before a "
            f"write-off; {more}; clocks within {document.to_plan().deadlines.clock_seconds} s"
        ),
    )
    yield (
        "batches",
        (
            f"{layout.bits_per_batch} bits, {layout.products_per_batch} products, "
            f"{layout.bodies_per_batch} bodies; {layout.batches_in_flight} in flight"
        ),
    )
    tests = document.tests
    yield "test openings", f"{len(tests.plaintexts)} before the key, {tests.decrypt_openings} after"
    measured = document.measurement
    if measured is None:
        yield "measurement", "none: no enclave is required"
    else:
        shown = measured.model_dump(exclude_none=True)
        yield from ((name, str(value)) for name, value in shown.items())
    rules = document.to_plan().decision_rules
    count = len(document.operators)
    yield (
        "decisions",
        (
            f"of {count}: write-off {rules.write_off}, extension {rules.extension}, "
            f"pause {rules.pause}, abort {rules.abort}"
        ),
    )
    kept = document.retention
    if kept is not None:
        yield (
            "retention",
            (
                f"transcript {kept.transcript_days} days, evidence {kept.evidence_days} days, "
                f"vaults {kept.vault_days_after_abort} days after an abort"
            ),
        )


def _operator(document: PlanDocument, operator: OperatorSection) -> Iterator[str]:
    yield f"operator {operator.index:<{_WIDTH - 9}}{operator.name}"
    for name in _OPERATOR_FIELDS:
        value = getattr(operator, name)
        if value is not None:
            yield f"  {name.replace('_', ' '):<{_WIDTH - 2}}{value}"
    second = second_key_text(document, operator.name)
    for each in document.representatives:
        if each.operator == operator.name:
            yield f"  {'spoken for by':<{_WIDTH - 2}}{each.name}  {each.identity_key}"
    if second:
        yield f"  {'ML-DSA-65 key':<{_WIDTH - 2}}{second}"


def _others(document: PlanDocument) -> Iterator[tuple[str, str]]:
    yield "coordinator", document.coordinator.identity_key
    for deputy in document.deputies:
        yield "deputy", f"{deputy.name}  {deputy.identity_key}"
    for auditor in document.auditors:
        yield "auditor", f"{auditor.name}  {auditor.identity_key}"


def second_key_text(document: PlanDocument, name: str) -> str:
    """Return how people see a party's ML-DSA-65 key, "" if the plan names none."""
    key = document.ml_dsa_key(name)
    return f"SHA-256 {hashlib.sha256(key).hexdigest()}" if key else ""
