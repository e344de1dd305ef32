"""INSECURE: the part of AWS's policy language that our key policies use, for the local service.

A statement with anything else in it is refused when the policy is put, so that nothing is allowed
because it was not understood.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from infra.enclave.kms.policy import CONDITION_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Caller", "MalformedPolicy", "allows", "check_policy"]

FIELDS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
EQUAL, DIFFERENT = "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"


class MalformedPolicy(ValueError):  # noqa: N818 - AWS's name of the error
    """A policy that is not understood."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and the registers of the document that came with the request, if one did."""

    arn: str
    pcrs: Mapping[int, bytes]

    def attribute(self, key: str) -> str | None:
        """Return the value of a condition key, or None if the request has none."""
        value = self.pcrs.get(int(key.removeprefix(CONDITION_KEY)))
        return None if value is None else value.hex()


def check_policy(policy: object) -> None:
    """Refuse a policy that is not understood.

    Raises:
        MalformedPolicy: if it has anything that our own do not.
    """
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    if not isinstance(statements, list) or not statements:
        raise MalformedPolicy("no statements")
    for each in statements:
        if not isinstance(each, dict) or not FIELDS - {"Sid", "Condition"} <= each.keys() <= FIELDS:
            raise MalformedPolicy("another statement")
        principal = each["Principal"]
        if each["Effect"] not in {"Allow", "Deny"} or each["Resource"] != "*":
            raise MalformedPolicy("another effect or resource")
        if not isinstance(principal, dict) or principal.keys() != {"AWS"}:
            raise MalformedPolicy("another principal")
        _check_conditions(each.get("Condition", {}))


def _check_conditions(conditions: object) -> None:
    if not isinstance(conditions, dict):
        raise MalformedPolicy("another condition")
    for operator, pairs in conditions.items():
        if operator not in {EQUAL, DIFFERENT} or not isinstance(pairs, dict):
            raise MalformedPolicy("another condition")
        for key in pairs:
            index = key.removeprefix(CONDITION_KEY)
            if index == key or not index.isdecimal():
                raise MalformedPolicy("another condition key")


def allows(policy: Mapping[str, Any], action: str, caller: Caller) -> bool:
    """Tell whether a statement allows an action and none denies it."""
    effects = {
        each["Effect"] for each in policy["Statement"] if _applies(each, f"kms:{action}", caller)
    }
    return effects == {"Allow"}


def _applies(statement: Mapping[str, Any], action: str, caller: Caller) -> bool:
    principals = _listed(statement["Principal"]["AWS"])
    return (
        any(each in {"*", caller.arn} for each in principals)
        and any(fnmatchcase(action, each) for each in _listed(statement["Action"]))
        and all(
            _holds(operator, caller.attribute(key), value)
            for operator, pairs in statement.get("Condition", {}).items()
            for key, value in pairs.items()
        )
    )


def _holds(operator: str, found: str | None, wanted: str) -> bool:
    """Compare as AWS does: a missing value is equal to nothing and different from everything."""
    equal = found is not None and found.lower() == wanted.lower()
    return equal if operator == EQUAL else not equal


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
