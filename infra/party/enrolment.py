"""How an operator whose enclave has nothing yet gets an identity, signs its plan, and begins.

A plan names identity keys, and a vault is sealed under a plan. So an enclave is started three
times before it is like any other: without a plan it makes its identity and seals it; with a plan
that it has not signed, it signs; with one that all have signed, the vault begins with that
identity, and what was kept for the enrolment goes. Each start may be repeated, and a crash at any
point leaves it to be. What others need (the card, the signature) lies in the bucket in the clear.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from infra.enclave.kms.data_keys import Context
from infra.enclave.kms.vault import IDENTITY, WRAPPED_KEY, SealedVault
from infra.enclave.refusals import attestation_error
from infra.governance.answers import Card, render_card
from infra.party.sealed import (
    bucket_objects,
    data_keys,
    named_in_plan,
    not_sealable,
    objects_of,
    seal_home,
)
from infra.party.temporal_line import checked_request, signed_request
from infra.plan.hybrid import HybridIdentity, signing_parties
from infra.plan.keys import create_hybrid_identity, identity_bytes, parse_identity, pinned_identity
from infra.plan.signing import SIGNATURE_FILE, signature_of, write_signatures
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.enclave.kms.data_keys import DataKeys
    from infra.homes import Home
    from infra.objects.port import ObjectStore
    from infra.party.enclave import Enclave
    from mpc_core.protocol.plan import Plan

__all__ = ["CARD", "FOLDER", "REQUEST", "begin_at_first_start", "enrol", "sign_inside"]

FOLDER = "enrolment"
"""Where, in the operator's bucket, everything lies before its vault begins."""

CARD, REQUEST = "card.toml", "temporal.csr"


def enrol(
    storage: str, keys: DataKeys, kms_key: str, operator: str, particulars: Mapping[str, str]
) -> str:
    """Make an operator's identity, or find the one that was made, and hand out its card.

    Args:
        storage: the operator's bucket, as its plan will name it.
        keys: asks the key service with documents of this enclave.
        kms_key: ARN of the operator's key.
        operator: its name.
        particulars: what else stands on the card.

    Returns:
        The card, which now also lies in the bucket, beside the request for the certificate with
        which the operator's enclave calls Temporal.

    Raises:
        CeremonyError: RF-STORE-*, RF-KMS-* or RF-SEAL-*; RF-GOVERN-001 if there is no such card.

    Security: the private keys are made here and leave only sealed, so nobody else ever has them.
        The parent hands the card on. One of other keys keeps this operator away and does nothing
        else: an enclave with this identity refuses that plan, and no other enclave has those keys.
    """
    objects = bucket_objects(storage, FOLDER)
    context = Context.before_plan(operator)
    if objects.get(WRAPPED_KEY) is None:
        made = create_hybrid_identity()
        # Refused before anything is kept under a name that no plan can have.
        _card(operator, made, particulars)
        secret = identity_bytes(made.ed25519, made.ml_dsa)
        SealedVault.begin(objects, keys, kms_key, context, {IDENTITY: secret})
    vault = SealedVault.open(objects, lambda _: keys, context)
    identity = parse_identity(vault.identity(), operator)
    card = _card(operator, identity, particulars)
    _put(objects, CARD, card.encode())
    if not _is_asked_for(objects, identity):
        _put(objects, REQUEST, signed_request(identity.ed25519, operator))
    return card


def sign_inside(home: Home, plan: Plan, enclave: Enclave) -> bytes:
    """Sign a plan with the identity that was made in an enclave like this one.

    Args:
        home: holds the plan.
        plan: it need not have any signature yet.
        enclave: the operator's.

    Returns:
        The line of `plan.sig`, which now also lies in the bucket.

    Raises:
        CeremonyError: RF-ATTEST-005 if the plan names other software than this enclave runs,
            RF-PLAN-010 if it names another identity, RF-SEAL-003 if no bucket or key.

    Security: whoever starts the enclave with a plan approves it, so a parent that is not its
        owner's signs what it likes in this operator's name. It gets no operator into a ceremony of
        which the others do not sign the same plan.
    """
    _require_this_software(plan, enclave)
    enrolment = _enrolment_of(home)
    identity = _enrolled(enrolment, home, plan, enclave)
    line = write_signatures(plan, {home.name: signature_of(plan, identity)})
    _put(enrolment, SIGNATURE_FILE, line)
    return line


def begin_at_first_start(home: Home, plan: Plan, enclave: Enclave) -> bool:
    """Begin the vault of an operator of a signed plan unless it is there, and end the enrolment.

    Args:
        home: holds the signed plan.
        plan: the signed plan.
        enclave: the operator's.

    Returns:
        Whether the vault was begun.

    Raises:
        CeremonyError: as `sign_inside`, but for the software; RF-SEAL-002 if there is neither a
            vault nor an identity.

    Security: a store that hides the vault and shows the enrolment again has the operator begin
        anew. It asks the others before it signs anything, like after any start, and stops if it
        had signed something (`infra.party.freshness`).
    """
    enrolment = _enrolment_of(home)
    begun = objects_of(home).get(WRAPPED_KEY) is None
    if begun:
        identity = _enrolled(enrolment, home, plan, enclave)
        kms_key = named_in_plan(home).kms_key
        assert kms_key is not None, "checked with the storage"
        secret = identity_bytes(identity.ed25519, identity.ml_dsa)
        seal_home(home, plan, enclave, kms_key, {IDENTITY: secret})
    for key in sorted(enrolment.keys(), key=lambda key: key != WRAPPED_KEY):
        enrolment.delete(key)
    return begun


def _enrolled(objects: ObjectStore, home: Home, plan: Plan, enclave: Enclave) -> HybridIdentity:
    keys_of = partial(data_keys, home, plan, enclave)
    vault = SealedVault.open(objects, keys_of, Context.before_plan(home.name))
    identity = parse_identity(vault.identity(), home.name)
    return pinned_identity(identity, signing_parties(plan)[home.name], home.name)


def _enrolment_of(home: Home) -> ObjectStore:
    """Return where an operator's enrolment lies; an enclave has nothing but a bucket.

    Raises:
        CeremonyError: RF-SEAL-003 if the plan names no bucket or no key for it, RF-STORE-006.
    """
    named = named_in_plan(home)
    if named.storage is None or named.kms_key is None:
        missing = "storage" if named.storage is None else "kms_key"
        expected = "the bucket and the ARN of this operator's key"
        raise not_sealable(home.name, expected, f"no {missing}")
    return bucket_objects(named.storage, FOLDER)


def _require_this_software(plan: Plan, enclave: Enclave) -> None:
    assert plan.attestation is not None
    for index, value in plan.attestation.registers:
        found = enclave.module.describe(index).value
        if found != value:
            raise attestation_error(
                "RF-ATTEST-005",
                "the plan names other software than this enclave runs",
                f"PCR{index} {found.hex()}",
                f"PCR{index} {value.hex()}",
                "compare `ringforge operator measure` with the plan, and start the right image",
                effect="the plan is not signed",
                operator=enclave.operator,
            )


def _card(operator: str, identity: HybridIdentity, particulars: Mapping[str, str]) -> str:
    public = identity.public
    return render_card(Card.of(operator, public.ed25519, public.ml_dsa, dict(particulars)))


def _is_asked_for(objects: ObjectStore, identity: HybridIdentity) -> bool:
    """Tell whether the bucket holds a request of this identity; each signature differs."""
    there = objects.get(REQUEST)
    try:
        return there is not None and bool(checked_request(there.data, identity.public.ed25519))
    except CeremonyError:
        return False


def _put(objects: ObjectStore, key: str, data: bytes) -> None:
    there = objects.get(key)
    if there is None or there.data != data:
        objects.put(key, data, None if there is None else there.tag)
