"""Losing one's seat and getting it back (PROTOCOL.md, "Recovery and destruction").

An operator that lost its vault keeps only its identity key. It makes a KEM key, and n-t others sign
that the seat is its own again, each after its own people approved that very key. Until a checkpoint
covers their statement it signs nothing: it does not know what it signed before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpc_core.protocol.entries import Rejoin
from mpc_core.protocol.errors import CeremonyError
from mpc_core.sharing.sealing import kem_public_key

if TYPE_CHECKING:
    from activities.operator import Operator
    from mpc_core.protocol.state import CeremonyState

__all__ = ["APPROVALS", "PLEAS", "REJOIN_SEED", "Seat", "approval_name", "plea_name"]

REJOIN_SEED = "rejoin/kem-seed"
"""Vault file of who lost its state: the private KEM key that its people vouch for."""

APPROVALS = "admitted"
"""Where the vault keeps what this operator's people approved; another process writes it."""

PLEAS = "pleas"
"""Where `work/` keeps the pleas that people look at."""


def approval_name(index: int) -> str:
    """Return the vault's name of the approval of an operator's return: the digest of its key."""
    return f"{APPROVALS}/{index}"


def plea_name(index: int) -> str:
    """Return the name in `work/` under which an operator's plea waits for people."""
    return f"{PLEAS}/{index}"


@dataclass(frozen=True, slots=True)
class Seat:
    """Whether one operator has its seat, and what it says to others that want theirs back."""

    operator: Operator

    # -- who lost its state -----------------------------------------------------------------------

    def give_up(self, seed: bytes) -> None:
        """Start anew: make the key with which to ask for the seat, unless that was done before."""
        if self.operator.vault.read(REJOIN_SEED) is None:
            self.operator.vault.write(REJOIN_SEED, seed)

    def is_out(self) -> bool:
        """Return whether this operator lost its state and is not let in again yet."""
        key = self.key_digest()
        return key is not None and self.operator.log.read(
            lambda state: not _is_in(state, self.operator.index, key)
        )

    def key_digest(self) -> bytes | None:
        """Return what names the key with which this operator asks for its seat, None without."""
        seed = self.operator.vault.read(REJOIN_SEED)
        return None if seed is None else hashlib.sha256(kem_public_key(seed)).digest()

    def require(self) -> None:
        """Refuse to act without a seat.

        Raises:
            CeremonyError: RF-RECOVER-004.
        """
        if self.is_out():
            raise out_of_seat(self.operator)

    def ask(self) -> None:
        """Ask all others to let this operator in, and put their statement on the log.

        Raises:
            CeremonyError: RF-RECOVER-005 while too few have approved, RF-RECOVER-006 when more
                than t operators say that they have lost their state.
        """
        key = self.key_digest()
        assert key is not None, "only who lost its state asks"
        plan, index = self.operator.plan, self.operator.index
        serial, excluded = self.operator.log.read(
            lambda state: (state.members.next_rejoin(index), frozenset(state.members.excluded))
        )
        entry = Rejoin(index, serial, key)
        signatures: dict[int, bytes] = {}
        refusals: dict[int, CeremonyError] = {}
        for other in sorted(set(range(1, plan.count + 1)) - excluded - {index}):
            try:
                signatures[other] = self.operator.peers.admission(other, entry)
            except CeremonyError as refusal:
                refusals[other] = refusal
        if len(signatures) >= plan.quorum:
            self.operator.log.post_statement(entry, signatures)
            return
        lost = sum(refusal.code == "RF-RECOVER-004" for refusal in refusals.values())
        raise self._too_many_lost(lost) if lost >= plan.threshold else self._waiting(key, refusals)

    # -- who is asked -----------------------------------------------------------------------------

    def objection(self, entry: Rejoin) -> str:
        """Return why this operator does not sign another one's rejoin, "" if it does."""
        if entry.operator == self.operator.index:
            return "nobody lets itself in"
        approved = self.operator.vault.read(approval_name(entry.operator))
        if approved != entry.key:
            return f"nobody at {self.operator.name} has approved this key"
        return ""

    def hear(self, entry: Rejoin) -> None:
        """Note a plea, so that this operator's people can look at it.

        Raises:
            CeremonyError: RF-RECOVER-004, when this operator lost its state itself.
        """
        self.require()
        name = plea_name(entry.operator)
        if self.operator.work.read(name) != entry.key:
            self.operator.work.write(name, entry.key)

    # -- inside -----------------------------------------------------------------------------------

    def _waiting(self, key: bytes, refusals: dict[int, CeremonyError]) -> CeremonyError:
        plan = self.operator.plan
        reasons = [f"{plan.name_of(at)}: {refusal}" for at, refusal in sorted(refusals.items())]
        return CeremonyError(
            "RF-RECOVER-005",
            "this operator waits to be let in again",
            operator=self.operator.name,
            expected=f"{plan.quorum} others that approve the key {key.hex()}",
            found="; ".join(reasons),
            effect="it signs nothing meanwhile; it asks again, and the others go on",
            next_step=f"call the others and read the key to them; each types `ringforge operator "
            f"admit --operator {self.operator.name} --key {key.hex()}`",
            runbook="lost-state",
        )

    def _too_many_lost(self, others: int) -> CeremonyError:
        plan = self.operator.plan
        return CeremonyError(
            "RF-RECOVER-006",
            "more operators lost all their state than this ceremony can bear",
            operator=self.operator.name,
            expected=f"at most {plan.threshold} of {plan.count} at once",
            found=f"this one and {others} more, as they say",
            effect="nothing was published, and nothing of these keys can be; this ceremony is over",
            next_step="start a new ceremony under another id",
            runbook="lost-state",
        )


def out_of_seat(operator: Operator) -> CeremonyError:
    """Return the error of an operator that lost its state."""
    return CeremonyError(
        "RF-RECOVER-004",
        "an operator that lost its state does nothing before it is let in again",
        operator=operator.name,
        expected="a rejoin entry that n-t others signed",
        found="none for its new key",
        effect="it signs nothing, so that it cannot contradict what it signed before",
        next_step="let the people of the other operators approve its return",
        runbook="lost-state",
    )


def _is_in(state: CeremonyState, index: int, key: bytes) -> bool:
    entry = state.members.rejoins.get(index)
    return entry is not None and entry.key == key
