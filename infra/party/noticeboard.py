"""The note that an operator in an enclave leaves on its desk: what was decided, what can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.governance.standing import STANDING, Standing, sign_standing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from activities.ports import Store
    from infra.party.log import PartyLog
    from mpc_core.protocol.plan import Plan

__all__ = ["Noticeboard"]


@dataclass(slots=True)
class Noticeboard:
    """Keeps the note on the desk up to date with the log.

    Attributes:
        desk: where people look.
        plan: the signed plan.
        key: the operator's identity key, which signs the note.
        log: the operator's log.
    """

    desk: Store
    plan: Plan
    key: Ed25519PrivateKey
    log: PartyLog
    _told: Standing | None = None

    def is_due(self) -> bool:
        """Tell whether something was decided, or a voice raised, that the note does not say."""
        return self.log.read(Standing.of) != self._told

    def tell(self) -> None:
        """Write the note anew.

        Raises:
            CeremonyError: RF-STORE-* if the bucket does not take it.
        """
        standing = self.log.read(Standing.of)
        self.desk.write(STANDING, sign_standing(standing, self.plan, self.key))
        self._told = standing
