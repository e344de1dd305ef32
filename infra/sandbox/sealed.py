"""The key service of a sandbox with software in the place of enclaves, and vaults sealed by it.

The service runs in the sandbox's own process. Its keys lie beside the homes and not in them, as
those of a real one lie with AWS.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from boto3.session import Session

from infra.enclave.insecure_software import SOFTWARE_ENCLAVE, Authority
from infra.enclave.kms.insecure_local import InsecureLocalKms
from infra.enclave.kms.insecure_server import (
    LOOPBACK,
    access_key,
    sandbox_holder,
    sandbox_principals,
    serving,
)
from infra.enclave.kms.policy import key_policy
from infra.enclave.kms.vault import IDENTITY
from infra.enclave.measurement import Measurement
from infra.homes import CeremonyFolder
from infra.party.enclave import enclave_of
from infra.party.sealed import seal_home
from infra.plan.keys import SETUP_SEED, identity_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.homes import Home
    from infra.plan.sandbox import SandboxParties
    from mpc_core.protocol.plan import Plan

__all__ = ["key_service_at_hand", "seal_homes", "serving_keys"]

REGION = "local"

# The library has no types.
_SESSION: Any = Session


@contextmanager
def serving_keys(folder: CeremonyFolder, plan: Plan, host: str = LOOPBACK) -> Iterator[str | None]:
    """Serve the keys of a sandbox while the context lasts.

    Args:
        folder: of the ceremony.
        plan: its plan.
        host: the address at which operators reach this process.

    Yields:
        The URL of the key service, None if the plan asks for no vault that is sealed by it.
    """
    if SOFTWARE_ENCLAVE not in plan.insecure or plan.attestation is None:
        yield None
        return
    names = [operator.name for operator in plan.operators]
    root = Authority.load(folder.operator(names[0]).insecure_enclave).certificate
    kms = InsecureLocalKms(plan, folder.insecure_kms, root, sandbox_principals(names))
    with serving(kms, host=host) as url:
        yield url


@contextmanager
def key_service_at_hand(home: Home, plan: Plan) -> Iterator[Home]:
    """Give a home with a key service, so that a command can open its vault.

    A sandbox's home has one beside it; any other one asks AWS.
    """
    if home.insecure_local_kms is not None:
        yield home
        return
    with serving_keys(CeremonyFolder(home.path.parent.parent), plan) as url:
        yield replace(home, insecure_local_kms=url)


def seal_homes(folder: CeremonyFolder, parties: SandboxParties) -> None:
    """Begin the sealed vaults of all operators of a sandbox that is being made.

    Args:
        folder: with homes and their test root.
        parties: the plan, and what belongs in the vaults.

    Raises:
        CeremonyError: as `seal_home`.
    """
    plan = parties.signed.plan
    assert plan.attestation is not None, "only a plan that asks for enclaves has sealed vaults"
    measurement = Measurement(dict(plan.attestation.registers))
    with serving_keys(folder, plan) as url:
        for operator in plan.operators:
            name = operator.name
            home = replace(folder.operator(name), insecure_local_kms=url)
            enclave = enclave_of(home, plan)
            assert enclave is not None, "the plan asks for one"
            identity = identity_bytes(parties.identities[name], parties.ml_dsa_keys.get(name))
            secrets = {IDENTITY: identity}
            if name in parties.seeds:
                secrets[SETUP_SEED] = parties.seeds[name].value
            policy = json.dumps(key_policy(measurement, name, sandbox_holder(name)))
            client = _SESSION(access_key(name, administrator=True), "not checked").client(
                "kms", region_name=REGION, endpoint_url=url
            )
            kms_key = client.create_key(Policy=policy)["KeyMetadata"]["Arn"]
            seal_home(home, plan, enclave, kms_key, secrets)
