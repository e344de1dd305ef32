"""The client of the key service, made from the ARN of a key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from boto3.session import Session
from botocore.config import Config

from infra.enclave.insecure_software import check_software_allowed
from infra.enclave.refusals import attestation_error

if TYPE_CHECKING:
    from infra.enclave.kms.data_keys import KeyService
    from mpc_core.protocol.plan import Plan

__all__ = ["key_service"]

KEY_ARN = re.compile(r"arn:aws[a-z-]{0,16}:kms:([a-z0-9-]{1,32}):[0-9]{12}:key/[a-z0-9-]{1,64}")
TIMES = {
    "connect_timeout": 10,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 4},
}

# The library has no types.
_CONFIG: Any = Config
_SESSION: Any = Session


def key_service(
    plan: Plan | None,
    kms_key: str,
    insecure_endpoint: str | None = None,
    *,
    profile: str | None = None,
    insecure_access_key: str | None = None,
) -> KeyService:
    """Return a client for the region of a key.

    Args:
        plan: the signed plan; None before there is one, when there is no service but AWS's.
        kms_key: ARN of the key.
        insecure_endpoint: URL of a sandbox's local key service.
        profile: name of AWS credentials, if not those that boto3 finds.
        insecure_access_key: who asks there, if not whom boto3 finds.

    Raises:
        CeremonyError: RF-KMS-005 if it is no ARN of a key, RF-ATTEST-011 if there is an endpoint
            and the plan is not that of a sandbox with software in the place of enclaves.
    """
    named = KEY_ARN.fullmatch(kms_key)
    if named is None:
        raise attestation_error(
            "RF-KMS-005",
            "this names no key of the key service",
            "arn:aws:kms:REGION:ACCOUNT:key/ID",
            repr(kms_key[:100]),
            effect="nothing was asked",
            next_step="take the ARN of the key, not its alias, from the output of Terraform",
        )
    session = _SESSION(profile_name=profile)
    if insecure_endpoint is not None:
        assert plan is not None, "a sandbox makes its plan before it makes keys"
        check_software_allowed(plan)
        if insecure_access_key is not None:
            session = _SESSION(insecure_access_key, "not checked")
    client: KeyService = session.client(
        "kms",
        region_name=named[1],
        endpoint_url=insecure_endpoint,
        config=_CONFIG(**TIMES),
    )
    return client
