"""plan.toml: a file that people read and sign, and that is exactly its own canonical rendering.

The plan hash is over the file's bytes, comments included, and enters every derivation: two plans
that differ in one byte make two key sets. So a plan that is not the rendering of what it says is
refused, and nobody can hide a difference in blanks, order or notation. A plan holds no address,
port, time of a run or certificate: peers are known by their keys alone (PROTOCOL.md, "Model").
"""

from __future__ import annotations

import hashlib
import tomllib
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from infra.plan.rules import check_rules, malformed
from mpc_core.protocol.plan import (
    Deadlines,
    DeputyIdentity,
    Layout,
    Limits,
    OperatorIdentity,
    Plan,
    TestRules,
)

__all__ = ["PlanDocument", "parse_plan", "render_plan"]

MOST_BYTES = 65_536
"""Longest plan.toml; thirteen operators need about 4 KB."""

MOST_DEPUTIES = 8

Hex16 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Shortcut = Literal["setup-seed", "drill-parameters", "software-enclave"]
Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,31}$")]


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class OperatorSection(_Section):
    """An operator; its index is its place in the list, and its evaluation point."""

    index: Annotated[int, Field(ge=1)]
    name: Name
    identity_key: Hex32


class CoordinatorSection(_Section):
    """Who hosts the log and gives the orders; trusted for liveness only."""

    identity_key: Hex32


class DeputySection(_Section):
    """Who may host the log in the coordinator's place, once n-t operators moved it there."""

    name: Name
    identity_key: Hex32


class DeadlineSection(_Section):
    """Waiting times in seconds, on each operator's own clock."""

    step_seconds: Annotated[float, Field(ge=0.1, le=86_400)]
    waiting_seconds: Annotated[float, Field(ge=0.1, le=2_592_000)]


class LayoutSection(_Section):
    """How the ceremony is cut into batches."""

    version: Literal[1]
    bits_per_batch: Annotated[int, Field(ge=1_024, le=1 << 24)]
    products_per_batch: Annotated[int, Field(ge=256, le=1 << 24)]
    bodies_per_batch: Annotated[int, Field(ge=256, le=1 << 24)]
    leaf_bytes: Annotated[int, Field(ge=1_024, le=1 << 20)]
    batches_in_flight: Annotated[int, Field(ge=1, le=64)]


class LimitSection(_Section):
    """What an operator may put on the log."""

    entry_bytes: Annotated[int, Field(ge=4_096, le=1 << 20)]
    entries_per_operator: Annotated[int, Field(ge=100, le=10_000_000)]
    corrections_per_operator: Annotated[int, Field(ge=0, le=100)]


class TestSection(_Section):
    """Test openings after the assembly, and the budget of `ringforge decrypt`."""

    flood_bound_log2: Annotated[int, Field(ge=1, le=57)]
    plaintexts: Annotated[
        tuple[Annotated[int, Field(ge=0, le=3)], ...],
        BeforeValidator(_as_tuple),
        Field(max_length=64),
    ]
    decrypt_openings: Annotated[int, Field(ge=0, le=65_536)]


class PlanDocument(_Section):
    """Everything that plan.toml says."""

    version: Literal[1]
    ceremony_id: Hex16
    parameters: Annotated[str, Field(min_length=1, max_length=64)]
    sandbox: bool
    insecure: Annotated[tuple[Shortcut, ...], BeforeValidator(_as_tuple)]
    threshold: Annotated[int, Field(ge=1)]
    coordinator: CoordinatorSection
    deadlines: DeadlineSection
    layout: LayoutSection
    limits: LimitSection
    tests: TestSection
    operators: Annotated[tuple[OperatorSection, ...], BeforeValidator(_as_tuple)]
    deputies: Annotated[
        tuple[DeputySection, ...], BeforeValidator(_as_tuple), Field(max_length=MOST_DEPUTIES)
    ] = ()

    def to_plan(self) -> Plan:
        """Return the facts that the protocol reads, with the hash of the canonical bytes."""
        return Plan(
            hash=hashlib.sha256(render_plan(self)).digest(),
            ceremony_id=self.ceremony_id,
            parameters=self.parameters,
            sandbox=self.sandbox,
            insecure=self.insecure,
            threshold=self.threshold,
            operators=tuple(
                OperatorIdentity(each.index, each.name, bytes.fromhex(each.identity_key))
                for each in self.operators
            ),
            coordinator_key=bytes.fromhex(self.coordinator.identity_key),
            deadlines=Deadlines(**self.deadlines.model_dump()),
            layout=Layout(**self.layout.model_dump()),
            limits=Limits(**self.limits.model_dump()),
            tests=TestRules(**self.tests.model_dump()),
            deputies=tuple(
                DeputyIdentity(each.name, bytes.fromhex(each.identity_key))
                for each in self.deputies
            ),
        )


def parse_plan(data: bytes) -> PlanDocument:
    """Return what the bytes of a plan.toml say.

    Raises:
        CeremonyError: RF-PLAN-001 to RF-PLAN-005 if a rule is broken, RF-PLAN-006 if the bytes
            are no plan, RF-PLAN-007 if they are not the canonical rendering of what they say.
    """
    if len(data) > MOST_BYTES:
        raise malformed(f"at most {MOST_BYTES} bytes", f"{len(data)} bytes")
    try:
        document = PlanDocument.model_validate(tomllib.loads(data.decode()))
    except UnicodeDecodeError as error:
        raise malformed("UTF-8 text", f"another byte at offset {error.start}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise malformed(
            "every field of a plan, and no other", f"{where}: {first['msg']}"
        ) from error
    except (ValueError, RecursionError) as error:  # a number or a nesting without end among them
        raise malformed("TOML", str(error)) from error
    check_rules(document.to_plan())
    _check_canonical(data, render_plan(document))
    return document


def render_plan(document: PlanDocument) -> bytes:
    """Return the canonical bytes of a plan: what everybody signs."""
    deadlines, layout, limits = document.deadlines, document.layout, document.limits
    lines = [
        "# The plan of a ceremony. Everybody signs exactly these bytes (plan.sig): a change, even",
        "# of a comment, is another plan and gives another key set.",
        f"version = {document.version}",
        "",
        "# Written into the key files as their tag.",
        f'ceremony_id = "{document.ceremony_id}"',
        f'parameters = "{document.parameters}"',
        "",
        "# Insecure shortcuts are possible in a sandbox only and are named here.",
        f"sandbox = {_boolean(document.sandbox)}",
        f"insecure = {_strings(document.insecure)}",
        "",
        "# Operators that may crash or lie; there are at least three times as many and one.",
        f"threshold = {document.threshold}",
        "",
        "# Hosts the log and gives the orders. Nobody's secret depends on it.",
        "[coordinator]",
        f'identity_key = "{document.coordinator.identity_key}"',
        "",
        "# Waiting times, on each operator's own clock.",
        "[deadlines]",
        f"step_seconds = {deadlines.step_seconds!r}",
        f"waiting_seconds = {deadlines.waiting_seconds!r}",
        "",
        "# How the work is cut. The same keys under another layout would be a two-time pad.",
        "[layout]",
        f"version = {layout.version}",
        f"bits_per_batch = {layout.bits_per_batch}",
        f"products_per_batch = {layout.products_per_batch}",
        f"bodies_per_batch = {layout.bodies_per_batch}",
        f"leaf_bytes = {layout.leaf_bytes}",
        f"batches_in_flight = {layout.batches_in_flight}",
        "",
        "# What one operator may put on the log.",
        "[limits]",
        f"entry_bytes = {limits.entry_bytes}",
        f"entries_per_operator = {limits.entries_per_operator}",
        f"corrections_per_operator = {limits.corrections_per_operator}",
        "",
        "# Test decryptions before the key is announced, each under one fresh flood of noise, and",
        "# the openings that `ringforge decrypt` may use up in a sandbox.",
        "[tests]",
        f"flood_bound_log2 = {document.tests.flood_bound_log2}",
        f"plaintexts = [{', '.join(map(str, document.tests.plaintexts))}]",
        f"decrypt_openings = {document.tests.decrypt_openings}",
        "",
        "# In the order of their evaluation points. Identity keys are Ed25519, in hex.",
    ]
    for operator in document.operators:
        lines += [
            "[[operators]]",
            f"index = {operator.index}",
            f'name = "{operator.name}"',
            f'identity_key = "{operator.identity_key}"',
            "",
        ]
    if document.deputies:
        lines.append("# May host the log in the coordinator's place, once n-t operators moved it.")
    for deputy in document.deputies:
        lines += [
            "[[deputies]]",
            f'name = "{deputy.name}"',
            f'identity_key = "{deputy.identity_key}"',
            "",
        ]
    return "\n".join(lines).encode()


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _strings(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


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
