"""How an operator leaves: what it sealed opens nowhere any more, and it says so under its name.

The order survives a crash at any point, and the same command goes on: first the record is signed
and kept, since its key may be sealed too; then the service's key is given to deletion, from which
moment it opens nothing; then the wrapped keys go, so that not even the service could help; and
only then the record has its final name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from infra.board import strict
from infra.enclave.kms.data_keys import asked
from infra.enclave.kms.sealing import is_sealed
from infra.enclave.kms.vault import WRAPPED_KEY, read_wrapped_key
from infra.enclave.refusals import attestation_error
from infra.files import PUBLIC_FILE, replace_durably, write_atomic
from infra.stores import FileStore

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.enclave.kms.data_keys import KeyService
    from infra.homes import Home
    from infra.objects.port import ObjectStore
    from mpc_core.protocol.errors import CeremonyError
    from mpc_core.protocol.plan import Plan

__all__ = ["Destruction", "Leaver", "SignedDestruction", "check_destruction", "leave"]

DOMAIN = b"ringforge/destruction/v1\0"
RECORD, PENDING = "destruction", "destruction.pending"
WAITING_DAYS = 7
"""The shortest time that KMS waits before it deletes a key; nothing can use the key meanwhile."""

KEPT = frozenset({"identity.key", "witness"})
"""What an operator that has left still signs with, and what keeps it from signing two things."""


@dataclass(frozen=True, slots=True)
class Destruction:
    """What an operator says it has destroyed: the body of an entry of the log.

    Attributes:
        plan_hash: SHA-256 of the plan.
        operator: the operator's name in it.
        kms_key: ARN of the key that was given to deletion.
        wrapped_keys: SHA-256 of each wrapped key that was removed.
        waiting_days: after how many days the service deletes the key.
        ordered_at: when the operator gave the order, in seconds since 1970 by its clock.
    """

    kind: ClassVar[str] = "destruction"
    plan_hash: bytes
    operator: str
    kms_key: str
    wrapped_keys: tuple[bytes, ...]
    waiting_days: int
    ordered_at: int

    @property
    def signed_bytes(self) -> bytes:
        """What the operator's identity key signs."""
        return DOMAIN + strict.encode(self)


@dataclass(frozen=True, slots=True)
class SignedDestruction:
    """A destruction and the Ed25519 signature of the operator's identity key."""

    destruction: Destruction
    signature: bytes


@dataclass(frozen=True, slots=True)
class Leaver:
    """Who leaves.

    Attributes:
        plan: the signed plan.
        name: the operator's.
        objects: where its sealed objects lie.
        identity: opens its identity key, which is sealed too: only before anything is destroyed.
        service_of: returns the key service of a key, by its ARN.
    """

    plan: Plan
    name: str
    objects: ObjectStore
    identity: Callable[[], Ed25519PrivateKey]
    service_of: Callable[[str], KeyService]


def leave(home: Home, leaver: Leaver, now: dt.datetime) -> SignedDestruction:
    """Destroy what an operator sealed.

    Args:
        home: the operator's home.
        leaver: the operator.
        now: the time by its clock.

    Returns:
        The signed record, which also lies in the home under the name `destruction`.

    Raises:
        CeremonyError: RF-KMS-007 if nothing there is sealed, RF-KMS-003 or RF-KMS-004 if the
            service refuses; the same command goes on.

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
        signed = _signed(leaver, now)
        write_atomic(pending, strict.encode(signed), PUBLIC_FILE)
    record = _read(pending, leaver.plan)
    _give_to_deletion(leaver.service_of(record.destruction.kms_key), record.destruction)
    _remove_open_files(home.vault, store)
    leaver.objects.delete(WRAPPED_KEY)
    replace_durably(pending, home.path / RECORD)
    return record


def check_destruction(data: bytes, plan: Plan) -> SignedDestruction:
    """Return the record that these bytes are, if an operator of the plan signed it.

    Raises:
        CeremonyError: RF-KMS-008 if it is none.
    """
    try:
        signed = strict.decode(SignedDestruction, data)
    except strict.Malformed as error:
        raise _no_record(str(error)) from error
    record = signed.destruction
    keys = {each.name: each.identity_key for each in plan.operators}
    if record.plan_hash != plan.hash or record.operator not in keys:
        raise _no_record("a record of another plan or another operator")
    try:
        key = Ed25519PublicKey.from_public_bytes(keys[record.operator])
        key.verify(signed.signature, record.signed_bytes)
    except InvalidSignature as error:
        raise _no_record("a signature that does not match") from error
    return signed


def _signed(leaver: Leaver, now: dt.datetime) -> SignedDestruction:
    wrapped = read_wrapped_key(leaver.objects)
    if wrapped is None:
        raise attestation_error(
            "RF-KMS-007",
            f"the vault of {leaver.name} is not sealed",
            "a wrapped key, without which the vault would not open",
            "none",
            effect="nothing was destroyed",
            next_step="see whether this is the right --home; an unsealed vault ends with its disk",
        )
    record = Destruction(
        plan_hash=leaver.plan.hash,
        operator=leaver.name,
        kms_key=wrapped.kms_key,
        wrapped_keys=(hashlib.sha256(wrapped.ciphertext).digest(),),
        waiting_days=WAITING_DAYS,
        ordered_at=int(now.timestamp()),
    )
    return SignedDestruction(record, leaver.identity().sign(record.signed_bytes))


def _read(path: Path, plan: Plan) -> SignedDestruction:
    return check_destruction(path.read_bytes(), plan)


def _give_to_deletion(service: KeyService, record: Destruction) -> None:
    """Schedule the deletion of the service's key unless it is scheduled or done."""
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


def _no_record(found: str) -> CeremonyError:
    return attestation_error(
        "RF-KMS-008",
        "the record of a destruction is not valid",
        "a record that an operator of this plan signed",
        found,
        effect="nobody takes this operator's keys for destroyed",
        next_step="have the operator run `ringforge operator leave` again",
    )
