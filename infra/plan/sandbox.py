"""The plan of a sandbox, with fresh identity keys or with all of it derived from a setup seed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.plan.document import (
    CoordinatorSection,
    DeadlineSection,
    DeputySection,
    LimitSection,
    OperatorSection,
    PlanDocument,
    TestSection,
)
from infra.plan.keys import COORDINATOR, create_identity, public_key_of
from infra.plan.layouts import cut_of
from infra.plan.rules import DRILL_PARAMETERS, check_size
from infra.plan.signing import sign_plan
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.plan.keys import SetupSeed
    from infra.plan.signing import SignedPlan
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["SandboxParties", "sandbox_plan"]

LIMITS = LimitSection(entry_bytes=262_144, entries_per_operator=20_000, corrections_per_operator=2)
TESTS = TestSection(flood_bound_log2=50, plaintexts=(0, 1, 2, 3), decrypt_openings=64)
DRILL_TESTS = TestSection(flood_bound_log2=8, plaintexts=(1, 2), decrypt_openings=1)
NO_TESTS = TestSection(flood_bound_log2=50, plaintexts=(), decrypt_openings=0)


@dataclass(frozen=True, slots=True)
class SandboxParties:
    """A signed sandbox plan and what each party keeps in its vault, by name.

    Attributes:
        signed: the plan with everybody's signature.
        identities: identity keys of the operators and of the coordinator.
        seeds: parts of the setup seed; empty when there is none.
    """

    signed: SignedPlan
    identities: dict[str, Ed25519PrivateKey]
    seeds: dict[str, SetupSeed]


def sandbox_plan(
    *,
    operators: int,
    threshold: int,
    parameters: str,
    waiting_seconds: float,
    seed: SetupSeed | None = None,
    drill: bool = False,
    deputies: int = 0,
) -> SandboxParties:
    """Make and sign the plan of a sandbox; only that of a drill may have the set of drills.

    With a seed the deputies' keys come from it too.

    Raises:
        CeremonyError: RF-PLAN-001 to RF-PLAN-003 or RF-PLAN-014 if there can be no such ceremony.
    """
    chosen = lookup(parameters)
    cut = cut_of(chosen)
    check_size(operators, threshold)
    names = tuple(f"op-{index:02d}" for index in range(1, operators + 1))
    hosts = (COORDINATOR, *(f"deputy-{number}" for number in range(1, deputies + 1)))
    seeds = {} if seed is None else {name: seed.party(name) for name in (*names, *hosts)}
    identities = {
        name: seeds[name].identity() if seeds else create_identity() for name in (*names, *hosts)
    }
    document = PlanDocument(
        version=1,
        ceremony_id=secrets.token_hex(16) if seed is None else seed.ceremony_id(),
        parameters=parameters,
        sandbox=True,
        insecure=(
            *(("setup-seed",) if seed else ()),
            *((DRILL_PARAMETERS,) if drill else ()),
        ),
        threshold=threshold,
        coordinator=CoordinatorSection(identity_key=public_key_of(identities[COORDINATOR]).hex()),
        deadlines=DeadlineSection(step_seconds=cut.step_seconds, waiting_seconds=waiting_seconds),
        layout=cut.layout,
        limits=LIMITS,
        tests=_tests(chosen, drill=drill),
        operators=tuple(
            OperatorSection(
                index=index, name=name, identity_key=public_key_of(identities[name]).hex()
            )
            for index, name in enumerate(names, 1)
        ),
        deputies=tuple(
            DeputySection(name=name, identity_key=public_key_of(identities[name]).hex())
            for name in hosts[1:]
        ),
    )
    return SandboxParties(sign_plan(document, identities), identities, seeds)


def _tests(parameters: Parameters, *, drill: bool) -> TestSection:
    if drill:
        return DRILL_TESTS
    return TESTS if parameters.insecure else NO_TESTS
