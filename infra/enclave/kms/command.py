"""`ringforge operator policy`, `ringforge operator seal` and `ringforge operator leave`."""

from __future__ import annotations

import datetime as dt
import json
import sys
from functools import partial
from typing import TYPE_CHECKING

from infra.cli.ending import print_json
from infra.enclave.files import read_file
from infra.enclave.kms.client import key_service
from infra.enclave.kms.insecure_server import access_key
from infra.enclave.kms.leaving import Leaver, leave
from infra.enclave.kms.policy import key_policy
from infra.enclave.measurement import MOST_PLAN_BYTES, read_measurement
from infra.enclave.refusals import attestation_error
from infra.homes import Home
from infra.party.sealed import objects_of, seal_files
from infra.party.vault import identity_of
from infra.plan import load_signed_plan
from infra.sandbox.sealed import key_service_at_hand

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.enclave.kms.policy import KeyHolder
    from mpc_core.protocol.plan import Plan

__all__ = ["leave_command", "policy_command", "seal_command"]


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


def leave_command(
    folder: Path,
    name: str,
    *,
    administrator: str | None,
    board: str | None,
    insecure_endpoint: str | None,
    as_json: bool,
) -> int:
    """Destroy what an operator sealed, and show the record.

    Args:
        folder: the operator's home.
        name: the operator's, so that nobody destroys another's home by a wrong path.
        administrator: name of the AWS credentials that may destroy the key, if they are others
            than those with which the vault opens.
        board: address of the log, host:port, on which the record is posted first.
        insecure_endpoint: URL of a sandbox's local key service.
        as_json: one JSON object instead of lines for people.

    Returns:
        0.

    Raises:
        CeremonyError: RF-KMS-009 if this is another operator's home, or as `leave`.
    """
    home = Home(folder.resolve(), insecure_local_kms=insecure_endpoint)
    home.check()
    plan = load_signed_plan(folder).plan
    _require_home_of(plan, home, name)
    with home.locked(), key_service_at_hand(home, plan) as place:
        service_of = partial(
            key_service,
            plan,
            insecure_endpoint=place.insecure_local_kms,
            profile=administrator,
            insecure_access_key=access_key(name, administrator=True),
        )
        identity = partial(_signing_key, place, plan)
        post = partial(_post, home, plan, identity, board)
        leaver = Leaver(plan, name, objects_of(home), identity, service_of, post)
        record = leave(home, leaver, dt.datetime.now(dt.UTC))
    shown = {
        "operator": record.operator,
        "kms_key": record.entry.kms_key,
        "wrapped_keys": [digest.hex() for digest in record.entry.wrapped_keys],
        "waiting_days": record.entry.waiting_days,
        "record": str(folder / "destruction"),
    }
    if as_json:
        print_json(shown)
    else:
        sys.stdout.write("".join(f"{key:<14}{value}\n" for key, value in shown.items()))
    return 0


def _post(
    home: Home,
    plan: Plan,
    identity: Callable[[], Ed25519PrivateKey],
    board: str | None,
    envelope: bytes,
) -> None:
    """Put a record on the log, if its people say where that is."""
    if board is None:
        return
    from infra.party.posting import post_once  # noqa: PLC0415 - loads the transport

    post_once(home, plan, identity(), board, envelope)


def _signing_key(home: Home, plan: Plan) -> Ed25519PrivateKey:
    return identity_of(home, plan).ed25519


def _require_home_of(plan: Plan, home: Home, name: str) -> None:
    if name not in {each.name for each in plan.operators} or home.name != name:
        raise attestation_error(
            "RF-KMS-009",
            "this is not the home of that operator",
            f"--home of {name}, an operator of the plan",
            f"the home of {home.name}",
            effect="nothing was destroyed",
            next_step="give the home and the name of the operator that leaves",
        )
