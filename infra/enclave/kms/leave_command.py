"""`ringforge operator leave`: in one step where the vault opens here, in three with an enclave.

An enclave gives up its vault itself. Outside, who speaks for the operator signs that it is to; and
afterwards an administrator gives the key to deletion, by the record that the enclave signed.
"""

from __future__ import annotations

import datetime as dt
import sys
from functools import partial
from typing import TYPE_CHECKING

from infra.cli.ending import print_json
from infra.enclave.files import read_file
from infra.enclave.insecure_software import SOFTWARE_ENCLAVE
from infra.enclave.kms.client import key_service
from infra.enclave.kms.insecure_server import access_key
from infra.enclave.kms.leaving import (
    RECORD,
    Leaver,
    check_destruction,
    give_to_deletion,
    leave,
    no_record,
)
from infra.enclave.refusals import attestation_error
from infra.files import PUBLIC_FILE, write_atomic
from infra.homes import Home
from infra.party.sealed import named_in_plan, objects_of
from infra.party.vault import identity_of
from infra.plan import load_signed_plan
from infra.sandbox.sealed import key_service_at_hand

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.enclave.kms.leaving import Record
    from mpc_core.protocol.plan import Plan

__all__ = ["delete_key_command", "instruct_command", "leave_command"]

MOST_RECORD_BYTES = 1 << 20


def leave_command(
    folder: Path,
    name: str,
    *,
    administrator: str | None,
    board: str,
    insecure_endpoint: str | None,
    as_json: bool,
) -> int:
    """Destroy what an operator sealed, and show the record.

    Args:
        folder: the operator's home.
        name: the operator's, so that nobody destroys another's home by a wrong path.
        administrator: name of the AWS credentials that may destroy the key, if they are others
            than those with which the vault opens.
        board: address of the log, host:port, on which the record is posted first; "" if its people
            say that nobody hosts it any more.
        insecure_endpoint: URL of a sandbox's local key service.
        as_json: one JSON object instead of lines for people.

    Returns:
        0.

    Raises:
        CeremonyError: RF-KMS-009 if this is another operator's home, RF-KMS-010 if its vault opens
            in an enclave only, or as `leave`.
    """
    home, plan = _home_of(folder, name, insecure_endpoint)
    _require_no_enclave(plan, name)
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
    _show(record, home, as_json=as_json)
    return 0


def instruct_command(
    folder: Path, name: str, representative: Path, board: str, *, as_json: bool
) -> int:
    """Write the line of a launch document that lets an enclave leave, to standard output.

    Args:
        folder: the people's folder of the operator, with the signed plan.
        name: the operator's.
        representative: home of who speaks for it.
        board: address of the log, host:port; "" if its people say that nobody hosts it any more.
        as_json: one JSON object instead of the line.

    Returns:
        0.

    Raises:
        CeremonyError: RF-KMS-009 if this is another operator's folder, RF-GOVERN-010 or RF-PLAN-010
            if somebody else speaks for it.
    """
    from infra.party.instruct import show_instruction  # noqa: PLC0415 - its own way
    from infra.party.instructions import Leave  # noqa: PLC0415

    home, plan = _home_of(folder, name, None)
    show_instruction(Leave(board), home, plan, representative, as_json=as_json)
    return 0


def delete_key_command(
    folder: Path,
    name: str,
    record_file: Path,
    *,
    administrator: str | None,
    insecure_endpoint: str | None,
    as_json: bool,
) -> int:
    """Give the key of an operator to deletion that left in its enclave, and keep the record.

    Args:
        folder: the people's folder of the operator, with the signed plan.
        name: the operator's.
        record_file: the record that its enclave left on the desk.
        administrator: name of the AWS credentials that may destroy the key.
        insecure_endpoint: URL of a sandbox's local key service.
        as_json: one JSON object instead of lines for people.

    Returns:
        0.

    Raises:
        CeremonyError: RF-KMS-009 if this is another operator's folder, RF-KMS-008 if the record is
            not this operator's or names another key than the plan, RF-KMS-003 or RF-KMS-004 if the
            service refuses; the same command goes on.

    Security: the record says that the enclave gave up what it had; that copies open nowhere is due
        to the deletion.
    """
    home, plan = _home_of(folder, name, insecure_endpoint)
    record = check_destruction(read_file(record_file, MOST_RECORD_BYTES), plan)
    if record.operator != name:
        raise no_record(f"one of {record.operator}")
    named = named_in_plan(home).kms_key
    if named not in {None, record.entry.kms_key}:
        raise no_record("another key than the plan names")
    with home.locked(), key_service_at_hand(home, plan) as place:
        service = key_service(
            plan,
            record.entry.kms_key,
            place.insecure_local_kms,
            profile=administrator,
            insecure_access_key=access_key(name, administrator=True),
        )
        give_to_deletion(service, record.entry)
        write_atomic(home.path / RECORD, record.envelope, PUBLIC_FILE)
    _show(record, home, as_json=as_json)
    return 0


def _home_of(folder: Path, name: str, insecure_endpoint: str | None) -> tuple[Home, Plan]:
    home = Home(folder.resolve(), insecure_local_kms=insecure_endpoint)
    home.check()
    plan = load_signed_plan(folder).plan
    if not plan.index_of(name) or home.name != name:
        raise attestation_error(
            "RF-KMS-009",
            "this is not the home of that operator",
            f"--home of {name}, an operator of the plan",
            f"the home of {home.name}",
            effect="nothing was destroyed",
            next_step="give the home and the name of the operator that leaves",
        )
    return home, plan


def _require_no_enclave(plan: Plan, name: str) -> None:
    if plan.attestation is None or SOFTWARE_ENCLAVE in plan.insecure:
        return
    raise attestation_error(
        "RF-KMS-010",
        f"the vault of {name} opens in its enclave only",
        "--representative for the line that lets the enclave leave, then --record with what it "
        "signed",
        "neither of them",
        effect="nothing was destroyed",
        next_step="go on as runbooks/enclave-on-aws.md says under To leave",
        operator=name,
    )


def _show(record: Record, home: Home, *, as_json: bool) -> None:
    shown = {
        "operator": record.operator,
        "kms_key": record.entry.kms_key,
        "wrapped_keys": [digest.hex() for digest in record.entry.wrapped_keys],
        "waiting_days": record.entry.waiting_days,
        "record": str(home.path / RECORD),
    }
    if as_json:
        print_json(shown)
    else:
        sys.stdout.write("".join(f"{key:<14}{value}\n" for key, value in shown.items()))


def _post(
    home: Home,
    plan: Plan,
    identity: Callable[[], Ed25519PrivateKey],
    board: str,
    envelope: bytes,
) -> None:
    """Put a record on the log, unless its people say that nobody hosts it."""
    if not board:
        return
    from infra.party.posting import post_once  # noqa: PLC0415 - loads the transport

    post_once(home, plan, identity(), board, envelope)


def _signing_key(home: Home, plan: Plan) -> Ed25519PrivateKey:
    return identity_of(home, plan).ed25519
