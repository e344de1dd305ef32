"""plan.toml: a file that people read and sign, and that is exactly its own canonical rendering.

The plan hash is over the file's bytes, comments included, and enters every derivation: two plans
that differ in one byte make two key sets. So a plan that is not the rendering of what it says is
refused, and nobody can hide a difference in blanks, order or notation. A plan holds no address,
port, time of a run or certificate: peers are known by their keys alone (PROTOCOL.md, "Model").
"""

from __future__ import annotations

import base64
import hashlib
import tomllib
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError

from infra.plan.rendering import render_plan
from infra.plan.rules import check_document, check_rules, malformed
from infra.plan.sections import (
    AuditorSection,
    CoordinatorSection,
    DeadlineSection,
    DecisionSection,
    DeputySection,
    Hex16,
    LayoutSection,
    LimitSection,
    MeasurementSection,
    MlDsaKey,
    Name,
    OperatorSection,
    RepresentativeSection,
    RetentionSection,
    RevisionSection,
    Section,
    Shortcut,
    TestSection,
    as_tuple,
)
from mpc_core.protocol.plan import (
    COORDINATOR,
    DESIGN_RANGE,
    AttestationRules,
    Deadlines,
    DecisionRules,
    DeputyIdentity,
    Layout,
    Limits,
    OperatorIdentity,
    Plan,
    RepresentativeIdentity,
    TestRules,
)

__all__ = ["MOST_BYTES", "PlanDocument", "parse_plan", "render_plan"]

MOST_BYTES = 131_072
"""Longest plan.toml; thirteen operators and who speaks for them need about 85 KB."""

MOST_PARTIES = 8
"""Most deputies, and most auditors."""

DOCUMENT_SECONDS = 3_600
"""How old an attestation document may be between peers, unless the plan says otherwise."""


class PlanDocument(Section):
    """Everything that plan.toml says."""

    version: Literal[1]
    ceremony_id: Hex16
    parameters: Annotated[str, Field(min_length=1, max_length=64)]
    sandbox: bool
    insecure: Annotated[tuple[Shortcut, ...], BeforeValidator(as_tuple)]
    without_enclaves: Literal[True] | None = None
    threshold: Annotated[int, Field(ge=1)]
    revision: RevisionSection | None = None
    coordinator: CoordinatorSection
    deadlines: DeadlineSection
    layout: LayoutSection
    limits: LimitSection
    tests: TestSection
    measurement: MeasurementSection | None = None
    decisions: DecisionSection | None = None
    retention: RetentionSection | None = None
    operators: Annotated[tuple[OperatorSection, ...], BeforeValidator(as_tuple)]
    deputies: Annotated[
        tuple[DeputySection, ...], BeforeValidator(as_tuple), Field(max_length=MOST_PARTIES)
    ] = ()
    representatives: Annotated[
        tuple[RepresentativeSection, ...],
        BeforeValidator(as_tuple),
        Field(max_length=DESIGN_RANGE),
    ] = ()
    auditors: Annotated[
        tuple[AuditorSection, ...], BeforeValidator(as_tuple), Field(max_length=MOST_PARTIES)
    ] = ()
    ml_dsa_keys: Annotated[dict[Name, MlDsaKey], Field(min_length=1)] | None = None

    @property
    def number(self) -> int:
        """Which version of the ceremony's plan this is, from 1."""
        return self.revision.number if self.revision else 1

    @property
    def party_names(self) -> tuple[str, ...]:
        """Names of all parties: operators, coordinator, deputies, representatives, auditors."""
        return (
            *(operator.name for operator in self.operators),
            COORDINATOR,
            *(deputy.name for deputy in self.deputies),
            *(each.name for each in self.representatives),
            *(auditor.name for auditor in self.auditors),
        )

    @property
    def hash(self) -> bytes:
        """SHA-256 of the canonical bytes."""
        return hashlib.sha256(render_plan(self)).digest()

    def ml_dsa_key(self, name: str) -> bytes:
        """Return the second identity key of a party, empty if the plan names none."""
        return base64.b64decode((self.ml_dsa_keys or {}).get(name, ""))

    def to_plan(self) -> Plan:
        """Return the facts that the protocol reads, with the hash of the canonical bytes."""
        return Plan(
            hash=self.hash,
            ceremony_id=self.ceremony_id,
            parameters=self.parameters,
            sandbox=self.sandbox,
            insecure=self.insecure,
            threshold=self.threshold,
            operators=tuple(
                OperatorIdentity(
                    each.index,
                    each.name,
                    bytes.fromhex(each.identity_key),
                    self.ml_dsa_key(each.name),
                )
                for each in self.operators
            ),
            coordinator_key=bytes.fromhex(self.coordinator.identity_key),
            coordinator_ml_dsa_key=self.ml_dsa_key(COORDINATOR),
            deadlines=Deadlines(**self.deadlines.model_dump(exclude_none=True)),
            layout=Layout(**self.layout.model_dump()),
            limits=Limits(**self.limits.model_dump()),
            tests=TestRules(**self.tests.model_dump()),
            deputies=tuple(
                DeputyIdentity(
                    each.name, bytes.fromhex(each.identity_key), self.ml_dsa_key(each.name)
                )
                for each in self.deputies
            ),
            decisions=DecisionRules(**self.decisions.model_dump()) if self.decisions else None,
            attestation=_attestation(self.measurement),
            representatives=tuple(
                RepresentativeIdentity(
                    each.name,
                    next((one.index for one in self.operators if one.name == each.operator), 0),
                    bytes.fromhex(each.identity_key),
                    self.ml_dsa_key(each.name),
                )
                for each in self.representatives
            ),
        )


def _attestation(measured: MeasurementSection | None) -> AttestationRules | None:
    if measured is None:
        return None
    return AttestationRules(
        measured.registers,
        measured.document_seconds or DOCUMENT_SECONDS,
        bytes.fromhex(measured.insecure_root or ""),
    )


def parse_plan(data: bytes) -> PlanDocument:
    """Return what the bytes of a plan.toml say.

    Raises:
        CeremonyError: RF-PLAN-001 to RF-PLAN-005, RF-PLAN-013 to RF-PLAN-019, RF-PLAN-021 or
            RF-PLAN-022 if a rule is broken, RF-PLAN-006 if the bytes are no plan, RF-PLAN-007 if
            they are not the canonical rendering of what they say.
    """
    if len(data) > MOST_BYTES:
        raise malformed(f"at most {MOST_BYTES} bytes", f"{len(data)} bytes")
    try:
        document = PlanDocument.model_validate(tomllib.loads(data.decode()))
    except UnicodeDecodeError as error:
        raise malformed("UTF-8 text", f"another byte at offset {error.start}") from error
    except ValidationError as error:
        raise malformed("every field of a plan, and no other", first_fault(error)) from error
    except (ValueError, RecursionError) as error:  # a number or a nesting without end among them
        raise malformed("TOML", str(error)) from error
    check(document)
    _check_canonical(data, render_plan(document))
    return document


def check(document: PlanDocument) -> None:
    """Check what the fields of a plan owe each other.

    Raises:
        CeremonyError: RF-PLAN-001 to RF-PLAN-006, RF-PLAN-013 to RF-PLAN-019, RF-PLAN-021,
            RF-PLAN-022.
    """
    check_rules(document.to_plan())
    check_document(document)


def first_fault(error: ValidationError) -> str:
    """Return where a document differs from its schema, without the value that does."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}"


def _check_canonical(data: bytes, canonical: bytes) -> None:
    if data == canonical:
        return
    found, expected = data.split(b"\n"), canonical.split(b"\n")
    line = next(
        (at for at, pair in enumerate(zip(found, expected, strict=False), 1) if pair[0] != pair[1]),
        min(len(found), len(expected)) + 1,
    )
    raise malformed(
        "the canonical rendering of what the plan says, byte for byte",
        f"a difference in line {line}",
        code="RF-PLAN-007",
    )
