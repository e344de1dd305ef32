"""An operator's vault: files of its home, or, where the plan asks for an enclave, sealed objects.

What lies where, and why, says the ADR "State lives as sealed objects".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.rejoin import APPROVALS, PLEAS
from activities.shares import PASSING
from activities.voices import VOICES
from infra.board.vault import FileVault, StoredVault
from infra.party.approvals import SignedApprovals
from infra.party.branches import Branches
from infra.party.enclave import enclave_of
from infra.plan.hybrid import signing_parties
from infra.plan.keys import (
    load_hybrid_identity,
    load_setup_seed,
    parse_identity,
    pinned_identity,
    setup_seed_of,
)
from infra.stores import FileStore
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from activities.ports import Store
    from infra.board.vault import WitnessVault
    from infra.enclave.kms.vault import SealedVault
    from infra.homes import Home
    from infra.plan.hybrid import HybridIdentity
    from infra.plan.keys import SetupSeed
    from mpc_core.protocol.plan import Plan

__all__ = ["Vault", "identity_of", "open_vault"]

STEPS = "steps"
"""Folder in `work/` of what an operator's steps note."""

LOST = "RF-STORE-003"


@dataclass(frozen=True, slots=True)
class Vault:
    """What an operator rests on.

    Attributes:
        store: its secrets.
        work: what its steps note and can make again.
        witness: what it signed.
        identity: its identity keys.
        seed: its part of the setup seed of an insecure sandbox.
        sealed: the sealed objects, if that is where the secrets lie; they can be taken back in
            time, so the others have to be asked whether they are the newest.
        desk: where operator and people leave things for each other, if that is not its home.
    """

    store: Store
    work: Store
    witness: WitnessVault
    identity: HybridIdentity
    seed: SetupSeed | None
    sealed: SealedVault | None = None
    desk: Store | None = None


def open_vault(home: Home, plan: Plan, *, rejoin: bool = False) -> Vault:
    """Open the vault of an operator's home.

    Args:
        home: the operator's, named as in the plan.
        plan: the signed plan, which says whether the vault is sealed.
        rejoin: whether its people say that the vault is lost: a sealed one that is not whole is
            begun again, with the identity key only.

    Raises:
        CeremonyError: RF-PLAN-010 if the identity key is not that of the plan; RF-ATTEST-*,
            RF-KMS-*, RF-SEAL-* or RF-STORE-* if what is sealed does not open.
    """
    files, steps = FileStore(home.vault), FileStore(home.work / STEPS)
    files.sweep()
    pinned = signing_parties(plan)[home.name]
    enclave = enclave_of(home, plan)
    if enclave is None:
        identity = load_hybrid_identity(home.vault, pinned, home.name)
        witness = FileVault(home.witness_file)
        approvals = _approvals(files, home, plan)
        vault = files if approvals is files else Branches(files, approvals, (APPROVALS,))
        return Vault(vault, steps, witness, identity, load_setup_seed(home.vault, plan))
    from infra.enclave.kms.sealing import SealedStore  # noqa: PLC0415 - loads the SDK of AWS
    from infra.party.sealed import desk_of, opened_vault  # noqa: PLC0415

    sealed = opened_vault(home, plan, enclave)
    identity = pinned_identity(parse_identity(sealed.identity(), home.name), pinned, home.name)
    try:
        sealed.load()
    except CeremonyError as error:
        if not rejoin or error.code != LOST:
            raise
        sealed.begin_again()
    noted: Store = Branches(SealedStore(steps, sealed.sealer), steps, (PASSING, PLEAS, VOICES))
    desk = desk_of(home)
    if desk is not None:
        noted = Branches(noted, desk, (PLEAS, VOICES))
    return Vault(
        Branches(sealed, _approvals(desk or files, home, plan), (APPROVALS,)),
        noted,
        StoredVault(sealed),
        identity,
        setup_seed_of(sealed.setup_seed(), plan),
        sealed,
        desk,
    )


def _approvals(beside: Store, home: Home, plan: Plan) -> Store:
    """Return what the operator believes of the approvals that lie somewhere."""
    index = plan.index_of(home.name)
    return beside if plan.representative_of(index) is None else SignedApprovals(beside, plan, index)


def identity_of(home: Home, plan: Plan) -> HybridIdentity:
    """Return the identity keys of a home, sealed or not, for a command of the operator's people.

    Nothing else of the vault is looked at, so its process may run meanwhile.

    Raises:
        CeremonyError: as `open_vault`.
    """
    pinned = signing_parties(plan)[home.name]
    enclave = enclave_of(home, plan)
    if enclave is None:
        return load_hybrid_identity(home.vault, pinned, home.name)
    from infra.party.sealed import opened_vault  # noqa: PLC0415 - loads the SDK of AWS
    from infra.sandbox.sealed import key_service_at_hand  # noqa: PLC0415

    with key_service_at_hand(home, plan) as place:
        sealed = opened_vault(place, plan, enclave)
        return pinned_identity(parse_identity(sealed.identity(), home.name), pinned, home.name)
