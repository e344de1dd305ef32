"""`ringforge operator policy` and `ringforge operator seal`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from infra.enclave.files import read_file
from infra.enclave.kms.policy import key_policy
from infra.enclave.measurement import MOST_PLAN_BYTES, read_measurement
from infra.homes import Home
from infra.party.sealed import seal_files

if TYPE_CHECKING:
    from pathlib import Path

    from infra.enclave.kms.policy import KeyHolder

__all__ = ["policy_command", "seal_command"]


def policy_command(plan: Path, operator: str, holder: KeyHolder) -> int:
    """Write the policy of an operator's key to standard output.

    Args:
        plan: a plan.toml with a measurement; its signatures are not checked.
        operator: whose key it is, for the policy's name.
        holder: the role of the enclave's instance, and who may destroy the key.

    Returns:
        0.

    Raises:
        CeremonyError: RF-ATTEST-009 if the plan leaves open what may run, RF-ATTEST-012 if it
            cannot be read.
    """
    measurement = read_measurement(read_file(plan, MOST_PLAN_BYTES))
    sys.stdout.write(json.dumps(key_policy(measurement, operator, holder), indent=2) + "\n")
    sys.stderr.write(
        "nobody can change this policy once the key has it; to create the key under it, "
        "bypass the policy lockout safety check\n"
    )
    return 0


def seal_command(folder: Path, *, insecure_endpoint: str | None) -> int:
    """Seal the vault of an operator's home.

    Args:
        folder: the home.
        insecure_endpoint: URL of a sandbox's local key service.

    Returns:
        0.

    Raises:
        CeremonyError: as `seal_files`.
    """
    home = Home(folder.resolve(), insecure_local_kms=insecure_endpoint)
    home.check()
    with home.locked():
        kms_key = seal_files(home)
    sys.stdout.write(f"{home.name} is sealed under {kms_key}\n")
    return 0
