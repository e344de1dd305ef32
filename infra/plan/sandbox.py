"""The plan of a sandbox, with fresh identity keys or with all of it derived from a setup seed."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.enclave.insecure_software import SOFTWARE_ENCLAVE, key_digest, measure_installed
from infra.plan.document import PlanDocument
from infra.plan.keys import COORDINATOR, create_identity, create_ml_dsa_key, public_key_of
from infra.plan.layouts import cut_of
from infra.plan.rules import DRILL_PARAMETERS, check_size
from infra.plan.sections import (
    CoordinatorSection,
    DeadlineSection,
    DeputySection,
    LimitSection,
    MeasurementSection,
    OperatorSection,
    TestSection,
)
from infra.plan.signing import sign_plan
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

    from infra.enclave.insecure_software import Authority
    from infra.plan.keys import SetupSeed
    from infra.plan.signing import SignedPlan
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["SandboxParties", "sandbox_plan", "tests_of"]

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
        ml_dsa_keys: second identity keys; empty when the plan names none.
    """

    signed: SignedPlan
    identities: dict[str, Ed25519PrivateKey]
    seeds: dict[str, SetupSeed]
    ml_dsa_keys: dict[str, MLDSA65PrivateKey] = field(default_factory=dict)


def sandbox_plan(
    *,
    operators: int,
    threshold: int,
    parameters: str,
    waiting_seconds: float,
    seed: SetupSeed | None = None,
    drill: bool = False,
    deputies: int = 0,
    hybrid: bool = False,
    enclave: Authority | None = None,
    document_seconds: int | None = None,
) -> SandboxParties:
    """Make and sign the plan of a sandbox; only that of a drill may have the set of drills.

    With a seed the deputies' keys come from it too. Ceremonies of processes have hybrid identities;
    what runs in memory does without. With a test root the plan asks for attestation of the software
    that is installed here, by documents under that root that are at most so old.

    Raises:
        CeremonyError: RF-PLAN-001 to RF-PLAN-003 or RF-PLAN-014 if there can be no such ceremony.
    """
    chosen = lookup(parameters)
    cut = cut_of(chosen)
    check_size(operators, threshold)
    names = tuple(f"op-{index:02d}" for index in range(1, operators + 1))
    hosts = (COORDINATOR, *(f"deputy-{number}" for number in range(1, deputies + 1)))
    seeds = {} if seed is None else {name: seed.party(name) for name in (*names, *hosts)}
    everybody = (*names, *hosts)
    identities = {
        name: seeds[name].identity() if seeds else create_identity() for name in everybody
    }
    second = {
        name: seeds[name].ml_dsa_key() if seeds else create_ml_dsa_key()
        for name in (everybody if hybrid else ())
    }
    document = PlanDocument(
        version=1,
        ceremony_id=secrets.token_hex(16) if seed is None else seed.ceremony_id(),
        parameters=parameters,
        sandbox=True,
        insecure=(
            *(("setup-seed",) if seed else ()),
            *((DRILL_PARAMETERS,) if drill else ()),
            *((SOFTWARE_ENCLAVE,) if enclave else ()),
        ),
        threshold=threshold,
        coordinator=CoordinatorSection(identity_key=public_key_of(identities[COORDINATOR]).hex()),
        deadlines=DeadlineSection(step_seconds=cut.step_seconds, waiting_seconds=waiting_seconds),
        layout=cut.layout,
        limits=LIMITS,
        tests=DRILL_TESTS if drill else tests_of(chosen),
        measurement=_measured(enclave, document_seconds) if enclave else None,
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
        ml_dsa_keys=_in_base64(second) if hybrid else None,
    )
    return SandboxParties(sign_plan(document, identities, second), identities, seeds, second)


def _measured(root: Authority, document_seconds: int | None) -> MeasurementSection:
    registers = {index: value.hex() for index, value in measure_installed().pcrs.items()}
    return MeasurementSection(
        pcr0=registers[0],
        pcr1=registers[1],
        pcr2=registers[2],
        pcr8=registers[8],
        document_seconds=document_seconds,
        insecure_root=key_digest(root.certificate).hex(),
    )


def _in_base64(keys: Mapping[str, MLDSA65PrivateKey]) -> dict[str, str]:
    public = {name: key.public_key().public_bytes_raw() for name, key in keys.items()}
    return {name: base64.b64encode(data).decode() for name, data in public.items()}


def tests_of(parameters: Parameters) -> TestSection:
    """Return the test openings that a parameter set allows: none under a secure one."""
    return TESTS if parameters.insecure else NO_TESTS
