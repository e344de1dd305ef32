"""What the process of an operator does about a vault that is not whole."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from activities.seal import KEY_SHARE, KEY_SHARE_LOST
from mpc_core.protocol.errors import CeremonyError
from mpc_core.sharing.sealing import KEM_SEED_BYTES

if TYPE_CHECKING:
    from activities.ports import Store
    from activities.steps import Steps
    from infra.board.witness import Witness
    from mpc_core.protocol.plan import Plan

__all__ = ["readmit", "take_seat"]


def take_seat(steps: Steps, witness: Witness, *, rejoin: bool) -> None:
    """Look at the vault before anything is done: whole, lost, or lost and said to be so.

    Args:
        steps: what the operator can do; nothing was done yet.
        witness: signs heads, if it knows what it signed before.
        rejoin: whether people say that the vault is lost. It changes nothing when it is not.

    Raises:
        CeremonyError: RF-RECOVER-009, when what was signed is not known and nobody said so.
    """
    if rejoin and (witness.is_lost or not _has_secrets(steps.operator.vault)):
        steps.seat.give_up(secrets.token_bytes(KEM_SEED_BYTES))
    if witness.is_lost and steps.seat.key_digest() is None:
        raise CeremonyError(
            "RF-RECOVER-009",
            "this operator does not know what it has signed: its vault is lost or damaged",
            operator=steps.operator.name,
            expected="the record of what it signed, as it was written last",
            found="none that can be read",
            effect="it does not start, so that it cannot contradict itself",
            next_step="ringforge operator run --rejoin, and let the others' people approve it",
            runbook="lost-state",
        )


def readmit(witness: Witness, plan: Plan) -> None:
    """Let an operator sign heads again that n-t others let in; it has its seat.

    Security: the checkpoint covers the rejoin entry, which was signed for a key made after the
        loss, and n-t others signed it. So it extends every head that was certified with the help
        of a signature that this operator has forgotten.
    """
    checkpoint = witness.replica.checkpoint
    if not witness.is_lost or checkpoint is None:
        return
    for signatures in (checkpoint.head_signatures, checkpoint.certificate_signatures):
        others = {part.signer for part in signatures} - {witness.index}
        if len(others) < plan.quorum:
            return
    witness.readmit(checkpoint)


def _has_secrets(vault: Store) -> bool:
    noted = (KEY_SHARE, KEY_SHARE_LOST)
    kept = ("setup/kem-seed", *noted, *vault.names("stage-keys"), *vault.names("passing-shares"))
    return any(vault.read(name) is not None for name in kept)
