"""The canonical bytes of a plan: what everybody signs.

Sections and fields that are optional are rendered where the plan has them, at one place each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import BaseModel

    from infra.plan.document import PlanDocument

__all__ = ["render_plan"]


def render_plan(document: PlanDocument) -> bytes:
    """Return the canonical bytes of a plan: what everybody signs."""
    return "\n".join(
        [
            *_head(document),
            *_how(document),
            *_who(document),
            *_long_keys(document),
        ]
    ).encode()


def _head(document: PlanDocument) -> list[str]:
    lines = [
        "# The plan of a ceremony. Everybody signs exactly these bytes (plan.sig): a change, even",
        "# of a comment, is another plan and gives another key set.",
        f"version = {document.version}",
        "",
        "# Written into the key files as their tag.",
        *_fields(document, ("ceremony_id", "parameters")),
        "",
        "# Insecure shortcuts are possible in a sandbox only and are named here.",
        *_fields(document, ("sandbox", "insecure")),
        "",
        *_without_enclaves(document),
        "# Operators that may crash or lie; there are at least three times as many and one.",
        *_fields(document, ("threshold",)),
        "",
    ]
    if document.revision:
        lines += [
            "# A changed plan is a new one that all sign again; `previous` is the hash of the old.",
            *_table("revision", document.revision),
        ]
    return lines


def _without_enclaves(document: PlanDocument) -> list[str]:
    if not document.without_enclaves:
        return []
    return [
        "# NO ENCLAVES: nothing proves what software an operator runs, and no vault is sealed.",
        *_fields(document, ("without_enclaves",)),
        "",
    ]


def _how(document: PlanDocument) -> list[str]:
    lines = [
        "# Hosts the log and gives the orders. Nobody's secret depends on it.",
        *_table("coordinator", document.coordinator),
        "# Waiting times, on each operator's own clock.",
        *_table("deadlines", document.deadlines),
        "# How the work is cut. The same keys under another layout would be a two-time pad.",
        *_table("layout", document.layout),
        "# What one operator may put on the log.",
        *_table("limits", document.limits),
        "# Test decryptions before the key is announced, each under one fresh flood of noise, and",
        "# the openings that `ringforge decrypt` may use up in a sandbox.",
        *_table("tests", document.tests),
    ]
    if document.measurement:
        lines += [
            "# The software that enclaves must run: image, kernel, application, and who signed it.",
            *_table("measurement", document.measurement),
        ]
    if document.decisions:
        lines += [
            "# Operators that have to sign each decision of people during the ceremony.",
            *_table("decisions", document.decisions),
        ]
    if document.retention:
        lines += [
            "# For how many days each operator keeps what. Only then it may be destroyed.",
            *_table("retention", document.retention),
        ]
    return lines


def _who(document: PlanDocument) -> list[str]:
    lines = ["# In the order of their evaluation points. Identity keys are Ed25519, in hex."]
    lines += _tables("operators", document.operators)
    if document.deputies:
        lines.append("# May host the log in the coordinator's place, once n-t operators moved it.")
    lines += _tables("deputies", document.deputies)
    if document.representatives:
        lines.append("# Speak for an operator in an enclave: sign this plan, decisions, approvals.")
    lines += _tables("representatives", document.representatives)
    if document.auditors:
        lines.append("# Look at the transcript. They neither sign this plan nor speak on the log.")
    return lines + _tables("auditors", document.auditors)


def _long_keys(document: PlanDocument) -> list[str]:
    """Return the keys in the order of the parties; that each has one is checked elsewhere."""
    keys = document.ml_dsa_keys
    if keys is None:
        return []
    return [
        "# The second identity key of every party, ML-DSA-65, in base64: plan and decisions are",
        "# signed with both.",
        "[ml_dsa_keys]",
        *(
            f'{name} = "{keys[name]}"'
            for name in dict.fromkeys(document.party_names)
            if name in keys
        ),
        "",
    ]


def _tables(name: str, sections: Sequence[BaseModel]) -> list[str]:
    return [line for section in sections for line in _table(f"[{name}]", section)]


def _table(name: str, section: BaseModel) -> list[str]:
    return [f"[{name}]", *_fields(section, type(section).model_fields), ""]


def _fields(section: BaseModel, names: Iterable[str]) -> list[str]:
    """Return a line for each of these fields that is said."""
    values = ((name, getattr(section, name)) for name in names)
    return [f"{name} = {_toml(value)}" for name, value in values if value is not None]


def _toml(value: object) -> str:
    """Return a value in its one notation; texts need no escapes (`sections`)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
