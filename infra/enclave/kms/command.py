"""`ringforge operator policy` and `ringforge operator leave`."""

from __future__ import annotations

import datetime as dt
import json
import sys
from functools import partial
from typing import TYPE_CHECKING

from infra.cli.ending import print_json
from infra.enclave.files import read_file
from infra.enclave.kms.client import key_service
from infra.enclave.kms.leaving import Leaver, leave
from infra.enclave.kms.policy import key_policy
from infra.enclave.measurement import MOST_PLAN_BYTES, read_measurement
from infra.enclave.refusals import attestation_error
from infra.homes import Home
from infra.plan import load_signed_plan
from infra.plan.keys import load_identity

if TYPE_CHECKING:
    from pathlib import Path

    from infra.enclave.kms.policy import KeyHolder
    from mpc_core.protocol.plan import OperatorIdentity, Plan

__all__ = ["leave_command", "policy_command"]


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


def leave_command(folder: Path, name: str, *, insecure_endpoint: str | None, as_json: bool) -> int:
    """Destroy what an operator sealed, and show the record.

    Args:
        folder: the operator's home.
        name: the operator's, so that nobody destroys another's home by a wrong path.
        insecure_endpoint: URL of a sandbox's local key service.
        as_json: one JSON object instead of lines for people.

    Returns:
        0.

    Raises:
        CeremonyError: RF-KMS-009 if this is another operator's home, or as `leave`.
    """
    home = Home(folder)
    home.check()
    plan = load_signed_plan(folder).plan
    operator = _operator(plan, home, name)
    with home.locked():
        identity = load_identity(home.vault, operator.identity_key, name)
        service_of = partial(key_service, plan, insecure_endpoint=insecure_endpoint)
        signed = leave(home, Leaver(plan, name, identity, service_of), dt.datetime.now(dt.UTC))
    record = signed.destruction
    shown = {
        "operator": record.operator,
        "kms_key": record.kms_key,
        "wrapped_keys": [digest.hex() for digest in record.wrapped_keys],
        "waiting_days": record.waiting_days,
        "record": str(folder / "destruction"),
    }
    if as_json:
        print_json(shown)
    else:
        sys.stdout.write("".join(f"{key:<14}{value}\n" for key, value in shown.items()))
    return 0


def _operator(plan: Plan, home: Home, name: str) -> OperatorIdentity:
    found = next((each for each in plan.operators if each.name == name), None)
    if found is None or home.path.resolve().name != name:
        raise attestation_error(
            "RF-KMS-009",
            "this is not the home of that operator",
            f"--home of {name}, an operator of the plan",
            f"the home of {home.path.resolve().name}",
            effect="nothing was destroyed",
            next_step="give the home and the name of the operator that leaves",
        )
    return found
