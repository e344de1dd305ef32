"""Approvals of an operator's people, signed by who speaks for it.

Where the plan names somebody who speaks for an operator, what lies in its bucket or on its disk is
an approval only under that signature: who can write there approves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.plan.hybrid import speaker_of

if TYPE_CHECKING:
    from activities.ports import Store
    from infra.plan.hybrid import HybridIdentity
    from mpc_core.protocol.plan import Plan

__all__ = ["SignedApprovals", "sign_approval"]

DOMAIN = b"ringforge/approval/v1\0"
DIGEST_BYTES = 32


def sign_approval(
    plan: Plan, giver: int, asker: int, digest: bytes, speaker: HybridIdentity
) -> bytes:
    """Return the approval that an operator gets its seat back with this key.

    Args:
        plan: the signed plan.
        giver: the operator whose people approve.
        asker: the operator that lost its vault.
        digest: of the key that its people read out.
        speaker: identity of who speaks for the giver.
    """
    return digest + speaker.sign(_message(plan, giver, asker, digest))


@dataclass(frozen=True, slots=True)
class SignedApprovals:
    """A `Store` of approvals, in which those that are not signed are not there.

    Attributes:
        beside: where people leave them.
        plan: names who speaks for the giver.
        giver: index of the operator whose people they are.
    """

    beside: Store
    plan: Plan
    giver: int

    def read(self, name: str) -> bytes | None:
        """Return the digest that was approved under this name, or None."""
        found = self.beside.read(name) or b""
        digest, signature = found[:DIGEST_BYTES], found[DIGEST_BYTES:]
        message = _message(self.plan, self.giver, int(name.rpartition("/")[2]), digest)
        return digest if speaker_of(self.plan, self.giver).verifies(signature, message) else None

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Leave an approval with its signature."""
        self.beside.write(name, data, durable=durable)

    def take(self, other: Store, name: str) -> None:
        """Move what another store keeps under a name here.

        Raises:
            FileNotFoundError: if it keeps nothing there.
        """
        self.beside.take(other, name)

    def discard(self, name: str) -> None:
        """Take away; nothing happens when nothing is there."""
        self.beside.discard(name)

    def remove(self, name: str) -> None:
        """Take away; no approval is secret."""
        self.beside.remove(name)

    def names(self, prefix: str) -> tuple[str, ...]:
        """Return what lies there, signed or not, sorted."""
        return self.beside.names(prefix)


def _message(plan: Plan, giver: int, asker: int, digest: bytes) -> bytes:
    return DOMAIN + plan.hash + bytes([giver, asker]) + digest
