"""The key set as the coordinator rebuilds and publishes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.publish import publish
from mpc_core.tfhe.keyset import bodies_of, key_set_digest, seed_of
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.board.replica import Replica
    from infra.coordinator.openings import Openings
    from infra.plan import SignedPlan
    from mpc_core.preprocessing.layout import CeremonyLayout

__all__ = ["KeySetBuilder"]


@dataclass(frozen=True, slots=True)
class KeySetBuilder:
    """Builds the key set from the openings, and writes it with the transcript.

    Attributes:
        root: folder that gets plan, keyset/ and transcript/.
        signed: the signed plan.
        key: the coordinator's identity key, which signs the manifest.
        layout: the ceremony's layout.
        replica: the verified log.
        openings: the opened values.
    """

    root: Path
    signed: SignedPlan
    key: Ed25519PrivateKey
    layout: CeremonyLayout
    replica: Replica
    openings: Openings

    def digest(self) -> bytes:
        """Return the digest of the key set that the openings make."""
        plan = self.signed.plan
        parameters = lookup(plan.parameters)
        seed = seed_of(self._online(0))
        bodies = bodies_of(parameters, self.layout, self._online)
        return key_set_digest(parameters, seed, bytes.fromhex(plan.ceremony_id), bodies)

    def publish(self, tick: Callable[[], None]) -> int:
        """Write key set and transcript; return the size of the log that they rest on."""
        checkpoint = self.replica.checkpoint
        assert checkpoint is not None, "the announcement is covered"
        size = checkpoint.head.size
        publish(
            self.root,
            self.signed,
            self.key,
            envelopes=self.replica.envelopes(0, size),
            checkpoint=checkpoint,
            opening=self.openings.read,
            rejected=self.openings.refuted(),
            tick=tick,
        )
        return size

    def _online(self, index: int) -> bytes:
        return self.openings.read(("O", index))
