"""Where an operator's sealed objects lie, and how they are begun and opened with its enclave."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from infra.board import strict
from infra.board.vault import WITNESS, FileVault, WitnessState
from infra.enclave.kms.client import key_service
from infra.enclave.kms.data_keys import Context, DataKeys
from infra.enclave.kms.insecure_server import access_key
from infra.enclave.kms.vault import IDENTITY, SealedVault
from infra.enclave.refusals import attestation_error
from infra.objects.desk import FOLDER, Desk
from infra.objects.folder import FolderObjects
from infra.objects.s3 import S3Objects, bucket_at, s3_client
from infra.party.enclave import enclave_of
from infra.plan.document import parse_plan
from infra.plan.hybrid import signing_parties
from infra.plan.keys import IDENTITY_FILE, identity_bytes, load_hybrid_identity
from infra.plan.signing import PLAN_FILE, load_signed_plan
from infra.stores import FileStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.homes import Home
    from infra.objects.port import ObjectStore
    from infra.party.enclave import Enclave
    from infra.plan.sections import OperatorSection
    from mpc_core.protocol.errors import CeremonyError
    from mpc_core.protocol.plan import Plan

__all__ = [
    "bucket_objects",
    "data_keys",
    "desk_of",
    "named_in_plan",
    "not_sealable",
    "objects_of",
    "opened_vault",
    "seal_files",
    "seal_home",
]


def objects_of(home: Home) -> ObjectStore:
    """Return where the sealed objects of a home lie: the bucket that its plan names, or vault/.

    Raises:
        CeremonyError: RF-STORE-006 if the plan names something else than a bucket.
    """
    storage = named_in_plan(home).storage
    return FolderObjects(home.vault) if storage is None else bucket_objects(storage)


def bucket_objects(storage: str, folder: str = "") -> ObjectStore:
    """Return the objects of a bucket as plans name it, or those in a folder there.

    Raises:
        CeremonyError: RF-STORE-006 if it names something else than a bucket.
    """
    bucket, prefix = bucket_at(storage)
    return S3Objects(s3_client(), bucket, f"{prefix}/{folder}".strip("/"))


def desk_of(home: Home) -> Desk | None:
    """Return where operator and people leave things for each other; None where it is the home.

    Raises:
        CeremonyError: RF-STORE-006 if the plan names something else than a bucket.
    """
    storage = named_in_plan(home).storage
    return None if storage is None else Desk(bucket_objects(storage, FOLDER))


def seal_home(
    home: Home,
    plan: Plan,
    enclave: Enclave,
    kms_key: str,
    contents: Mapping[str, bytes],
    *,
    state: WitnessState | None = None,
) -> None:
    """Begin the sealed vault of an operator's home.

    Args:
        home: a home that was just made; nothing secret lies there in the clear.
        plan: the signed plan.
        enclave: what proves to the key service that it may have data keys.
        kms_key: ARN of the operator's key.
        contents: the identity key under the name `identity`, and what else belongs in the vault.
        state: what it signed; by default of one that never has.

    Raises:
        CeremonyError: as `SealedVault.begin`.
    """
    keys = data_keys(home, plan, enclave, kms_key)
    context = Context(plan.hash, home.name)
    whole = {**contents, WITNESS: strict.encode(state or WitnessState())}
    SealedVault.begin(objects_of(home), keys, kms_key, context, whole)


def opened_vault(home: Home, plan: Plan, enclave: Enclave) -> SealedVault:
    """Return the sealed vault of a home, as the store has it; `load` it before use.

    Raises:
        CeremonyError: RF-SEAL-002 if its wrapped key is gone or another one than the plan says,
            RF-KMS-* if the service does not open it, RF-STORE-001 if the store does not answer.
    """
    keys_of = partial(data_keys, home, plan, enclave)
    return SealedVault.open(objects_of(home), keys_of, Context(plan.hash, home.name))


def data_keys(home: Home, plan: Plan, enclave: Enclave, kms_key: str) -> DataKeys:
    """Return what asks the key service for the data keys below a key.

    Raises:
        CeremonyError: RF-SEAL-002 if the plan names another key for this operator.
    """
    named = named_in_plan(home).kms_key
    if named not in {None, kms_key}:
        raise attestation_error(
            "RF-SEAL-002",
            "the operator's store has another wrapped key than it should",
            f"one under {named}, as the plan says",
            f"one under {kms_key[:200]}",
            effect="nothing was opened or sealed",
            next_step="restore the store as it was, or sign a plan that names this key",
            operator=home.name,
        )
    service = key_service(
        plan, kms_key, home.insecure_local_kms, insecure_access_key=access_key(home.name)
    )
    return DataKeys(service, enclave.module)


def named_in_plan(home: Home) -> OperatorSection:
    """Return what the plan says of the operator of a home; the plan was checked before."""
    document = parse_plan((home.path / PLAN_FILE).read_bytes())
    return next(each for each in document.operators if each.name == home.name)


def seal_files(home: Home) -> str:
    """Move the vault of a home that was made before its plan into sealed objects.

    Returns:
        The ARN of the key above them.

    Raises:
        CeremonyError: RF-SEAL-003 if the plan asks for no enclave, or names no key for this
            operator; RF-SEAL-002 if there are sealed objects already; as `seal_home`.

    Security: until now the identity key lay in files, and who read them can sign as this operator.
        It gives nobody a share of a key: those follow from what is drawn in the enclave.
    """
    plan = load_signed_plan(home.path).plan
    enclave, kms_key = enclave_of(home, plan), named_in_plan(home).kms_key
    if enclave is None or kms_key is None:
        found = "no measurement" if enclave is None else "no kms_key"
        raise not_sealable(home.name, "a measurement and the ARN of this operator's key", found)
    identity = load_hybrid_identity(home.vault, signing_parties(plan)[home.name], home.name)
    contents = {IDENTITY: identity_bytes(identity.ed25519, identity.ml_dsa)}
    state = FileVault(home.witness_file).load()
    seal_home(home, plan, enclave, kms_key, contents, state=state)
    files = FileStore(home.vault)
    for name in (IDENTITY_FILE, WITNESS):
        files.remove(name)
    return kms_key


def not_sealable(operator: str, expected: str, found: str) -> CeremonyError:
    """Return the error for a plan that does not say how an operator's vault is sealed."""
    return attestation_error(
        "RF-SEAL-003",
        "the plan does not say how this operator's vault is sealed",
        expected,
        found,
        effect="nothing was sealed",
        next_step="sign a plan that names all of it",
        operator=operator,
    )
