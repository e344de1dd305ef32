"""How an operator leaves: what it sealed opens nowhere any more, and it says so under its name.

The order survives a crash at any point, and the same command goes on: first the record is signed,
posted where somebody hosts the log, and kept, since its key may be sealed too; then the service's
key is given to deletion, from which moment it opens nothing; then the wrapped keys go, so that not
even the service could help; and only then the record has its final name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from infra.board import wire
from infra.enclave.kms.data_keys import asked
from infra.enclave.kms.sealing import is_sealed
from infra.enclave.kms.vault import WRAPPED_KEY, read_wrapped_key
from infra.enclave.refusals import attestation_error
from infra.files import PUBLIC_FILE, replace_durably, write_atomic
from infra.stores import FileStore
from mpc_core.protocol.entries import Destruction
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.enclave.kms.data_keys import KeyService, WrappedKey
    from infra.homes import Home
    from infra.objects.port import ObjectStore
    from mpc_core.protocol.plan import Plan

__all__ = [
    "PENDING",
    "RECORD",
    "Leaver",
    "Record",
    "check_destruction",
    "give_to_deletion",
    "leave",
    "no_record",
    "not_sealed",
    "signed_record",
]

RECORD, PENDING = "destruction", "destruction.pending"
WAITING_DAYS = 7
"""The shortest time that KMS waits before it deletes a key; nothing can use the key meanwhile."""

KEPT = frozenset({"identity.key", "witness"})
"""What an operator that has left still signs with, and what keeps it from signing two things."""


@dataclass(frozen=True, slots=True)
class Record:
    """What an operator says it has destroyed: an entry of the log, which anybody may post.

    Attributes:
        operator: the operator's name in the plan.
        entry: what it destroyed.
        envelope: the entry with the operator's signature.
    """

    operator: str
    entry: Destruction
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Leaver:
    """Who leaves.

    Attributes:
        plan: the signed plan.
        name: the operator's.
        objects: where its sealed objects lie.
        identity: opens its identity key, which is sealed too: only before anything is destroyed.
        service_of: returns the key service of a key, by its ARN.
        post: puts the record on the log; before anything is destroyed, since whoever posts has to
            prove who it is.
    """

    plan: Plan
    name: str
    objects: ObjectStore
    identity: Callable[[], Ed25519PrivateKey]
    service_of: Callable[[str], KeyService]
    post: Callable[[bytes], None] = lambda _: None


def leave(home: Home, leaver: Leaver, now: dt.datetime) -> Record:
    """Destroy what an operator sealed.

    Args:
        home: the operator's home.
        leaver: the operator.
        now: the time by its clock.

    Returns:
        The signed record, which also lies in the home under the name `destruction`.

    Raises:
        CeremonyError: RF-KMS-007 if nothing there is sealed; what `post` raises; RF-KMS-003 or
            RF-KMS-004 if the service refuses; the same command goes on.

    Security: copies of sealed files and of the wrapped key open nothing once the service's key is
        pending deletion; its policy lets nobody take that back. Files of the vault that were not
        sealed are overwritten, which reaches their blocks only where the file system writes in
        place. What the enclave's memory held ends with it.
    """
    store = FileStore(home.vault)
    store.sweep()
    pending = home.path / PENDING
    if not pending.exists():
        if leaver.objects.get(WRAPPED_KEY) is None and (home.path / RECORD).exists():
            return _read(home.path / RECORD, leaver.plan)
        envelope = _signed(leaver, now)
        leaver.post(envelope)
        write_atomic(pending, envelope, PUBLIC_FILE)
    record = _read(pending, leaver.plan)
    give_to_deletion(leaver.service_of(record.entry.kms_key), record.entry)
    _remove_open_files(home.vault, store)
    leaver.objects.delete(WRAPPED_KEY)
    replace_durably(pending, home.path / RECORD)
    return record


def check_destruction(data: bytes, plan: Plan) -> Record:
    """Return the record that these bytes are, if an operator of the plan signed it.

    Raises:
        CeremonyError: RF-KMS-008 if it is none.
    """
    try:
        signed = wire.decode(data, plan)
    except CeremonyError as error:
        raise no_record(f"{error.code}: {error.found}") from error
    if not isinstance(signed.entry, Destruction):
        raise no_record(f"another entry, {signed.entry.kind}")
    (signer,) = signed.signers
    return Record(plan.name_of(signer), signed.entry, data)


def signed_record(
    wrapped: WrappedKey, plan: Plan, name: str, key: Ed25519PrivateKey, now: dt.datetime
) -> bytes:
    """Return the signed record of what an operator is about to destroy.

    Args:
        wrapped: what its vault opens with.
        plan: the signed plan.
        name: the operator's.
        key: its identity key.
        now: the time by its clock.
    """
    entry = Destruction(
        kms_key=wrapped.kms_key,
        wrapped_keys=(hashlib.sha256(wrapped.ciphertext).digest(),),
        waiting_days=WAITING_DAYS,
        ordered_at=int(now.timestamp()),
    )
    return wire.sign_entry(entry, plan, plan.index_of(name), key)


def not_sealed(name: str) -> CeremonyError:
    """Return the error for an operator that has nothing to destroy."""
    return attestation_error(
        "RF-KMS-007",
        f"the vault of {name} is not sealed",
        "a wrapped key, without which the vault would not open",
        "none",
        effect="nothing was destroyed",
        next_step="see whether this is the right --home; an unsealed vault ends with its disk",
    )


def _signed(leaver: Leaver, now: dt.datetime) -> bytes:
    wrapped = read_wrapped_key(leaver.objects)
    if wrapped is None:
        raise not_sealed(leaver.name)
    return signed_record(wrapped, leaver.plan, leaver.name, leaver.identity(), now)


def _read(path: Path, plan: Plan) -> Record:
    return check_destruction(path.read_bytes(), plan)


def give_to_deletion(service: KeyService, record: Destruction) -> None:
    """Schedule the deletion of the service's key unless it is scheduled or done.

    Raises:
        CeremonyError: RF-KMS-003 or RF-KMS-004 if the service refuses.
    """
    state = asked(lambda: _state(service, record.kms_key))["KeyState"]
    if state in {"PendingDeletion", "Deleted"}:
        return
    days = record.waiting_days
    asked(lambda: service.schedule_key_deletion(KeyId=record.kms_key, PendingWindowInDays=days))


def _state(service: KeyService, kms_key: str) -> Mapping[str, Any]:
    try:
        metadata: Mapping[str, Any] = service.describe_key(KeyId=kms_key)["KeyMetadata"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NotFoundException":
            raise
        return {"KeyState": "Deleted"}
    return metadata


def _remove_open_files(vault: Path, store: FileStore) -> None:
    """Overwrite and remove what lies in the vault unsealed, but what the operator signs with."""
    for path in sorted(vault.rglob("*")):
        name = path.relative_to(vault).as_posix()
        if not path.is_file() or name in KEPT or name == WRAPPED_KEY:
            continue
        if not is_sealed(path.read_bytes()):
            store.remove(name)


def no_record(found: str) -> CeremonyError:
    """Return the error for bytes that are not the record of this destruction."""
    return attestation_error(
        "RF-KMS-008",
        "the record of a destruction is not valid",
        "a record that an operator of this plan signed",
        found,
        effect="nobody takes this operator's keys for destroyed",
        next_step="have the operator run `ringforge operator leave` again",
    )
