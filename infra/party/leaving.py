"""An operator leaves in its enclave, the one place where its identity and its vault open.

Outside nobody can sign the record of what is destroyed. So the enclave is started once more, with
an instruction of who speaks for the operator: it signs, posts the record, gives up the wrapped keys
and ends. The record lies on the desk then, and an administrator, who can do nothing else with the
key above them, gives that to deletion (`infra.enclave.kms.leaving.give_to_deletion`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from infra.enclave.kms.leaving import (
    PENDING,
    RECORD,
    check_destruction,
    not_sealed,
    signed_record,
)
from infra.enclave.kms.vault import WRAPPED_KEY, read_wrapped_key
from infra.party.enrolment import FOLDER
from infra.party.posting import post_once
from infra.party.sealed import desk_of, not_sealable, objects_of, opened_vault
from infra.plan.hybrid import signing_parties
from infra.plan.keys import parse_identity, pinned_identity
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    import datetime as dt

    from infra.enclave.kms.data_keys import WrappedKey
    from infra.enclave.kms.leaving import Record
    from infra.homes import Home
    from infra.objects.desk import Desk
    from infra.party.enclave import Enclave
    from infra.party.instructions import Leave
    from infra.plan.hybrid import HybridIdentity
    from mpc_core.protocol.plan import Plan

__all__ = ["leave_inside"]

WRAPPED_KEYS = (f"{FOLDER}/{WRAPPED_KEY}", WRAPPED_KEY)
"""The vault's goes last: as long as it is there, there is something left to do."""


def leave_inside(home: Home, plan: Plan, enclave: Enclave, said: Leave, now: dt.datetime) -> Record:
    """Sign and post what an operator destroys, and give up its wrapped keys.

    It may be repeated: what a crash left is taken up where it was.

    Args:
        home: holds the signed plan.
        plan: the signed plan.
        enclave: the operator's.
        said: what who speaks for it said.
        now: the time by the enclave's clock.

    Returns:
        The record, which now also lies on the operator's desk.

    Raises:
        CeremonyError: RF-SEAL-003 if the plan names no bucket, RF-KMS-007 if there is no vault;
            as `post_once` and `opened_vault`, and then nothing was given up.

    Security: who keeps the bucket may have the wrapped keys still. They open for this image until
        the key above them is given to deletion, for which the enclave has no right.
    """
    desk, objects = desk_of(home), objects_of(home)
    if desk is None:
        raise not_sealable(home.name, "the bucket of this operator", "no storage")
    wrapped = read_wrapped_key(objects)
    if wrapped is not None:
        identity = _identity(home, plan, enclave)
        envelope = _pending(desk, home.name, plan, wrapped)
        if envelope is None:
            envelope = signed_record(wrapped, plan, home.name, identity.ed25519, now)
            desk.write(PENDING, envelope)
        if said.board:
            post_once(home, plan, identity.ed25519, said.board, envelope)
        for key in WRAPPED_KEYS:
            objects.delete(key)
    return _ended(desk, home.name, plan)


def _identity(home: Home, plan: Plan, enclave: Enclave) -> HybridIdentity:
    secret = opened_vault(home, plan, enclave).identity()
    return pinned_identity(
        parse_identity(secret, home.name), signing_parties(plan)[home.name], home.name
    )


def _pending(desk: Desk, name: str, plan: Plan, wrapped: WrappedKey) -> bytes | None:
    """Return the record of this very vault that an earlier start signed, if there is one."""
    found = _record(desk.read(PENDING), name, plan)
    digest = hashlib.sha256(wrapped.ciphertext).digest()
    if found is None or (found.entry.kms_key, found.entry.wrapped_keys) != (
        wrapped.kms_key,
        (digest,),
    ):
        return None
    return found.envelope


def _ended(desk: Desk, name: str, plan: Plan) -> Record:
    """Give the record its final name, once nothing is left to do."""
    found = _record(desk.read(PENDING), name, plan)
    if found is None:
        found = _record(desk.read(RECORD), name, plan)
        if found is None:
            raise not_sealed(name)
        return found
    desk.write(RECORD, found.envelope)
    desk.discard(PENDING)
    return found


def _record(data: bytes | None, name: str, plan: Plan) -> Record | None:
    """Return a record of this operator; anything else that lies there is as good as nothing."""
    try:
        found = None if data is None else check_destruction(data, plan)
    except CeremonyError:
        return None
    return found if found is not None and found.operator == name else None
