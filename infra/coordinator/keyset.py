"""The key set as the coordinator rebuilds and publishes it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.files import SECRET_FILE, write_atomic
from infra.publish import Keeps, publish
from infra.publish.streamed import Hashed
from mpc_core.tfhe.export import KeyFile, write_key_set
from mpc_core.tfhe.keyset import bodies_of, digest_of_files, seed_of
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.board.replica import Replica
    from infra.coordinator.openings import Openings
    from infra.homes import Home
    from infra.plan import SignedPlan
    from mpc_core.preprocessing.layout import CeremonyLayout

__all__ = ["KeySetBuilder", "keeps_from_now_on"]

_PATIENCE_SECONDS = 1.0
_KEEP_ALL = "keep-openings"


def keeps_from_now_on(home: Home, *, all_of_them: bool) -> Keeps:
    """Return which opened values the transcript will keep.

    Args:
        home: the coordinator's, which remembers that all were asked for: a later start without
            that option must not throw them away.
        all_of_them: whether they are asked for now.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
    """
    asked = home.work / _KEEP_ALL
    if all_of_them:
        write_atomic(asked, b"", SECRET_FILE)
    return Keeps.ALL if asked.exists() else Keeps.ASSEMBLY


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
        keeps: which of them the transcript keeps.
    """

    root: Path
    signed: SignedPlan
    key: Ed25519PrivateKey
    layout: CeremonyLayout
    replica: Replica
    openings: Openings
    keeps: Keeps
    _computing: threading.Lock = field(default_factory=threading.Lock)
    _digest: list[bytes] = field(default_factory=list)

    def digest(self, tick: Callable[[], None]) -> bytes:
        """Return the digest of the key set that the openings make; it is computed once.

        Args:
            tick: called again and again while this takes time, whoever computes.
        """
        while not self._computing.acquire(timeout=_PATIENCE_SECONDS):
            tick()
        try:
            if not self._digest:
                self._digest.append(self._compute(tick))
            return self._digest[0]
        finally:
            self._computing.release()

    def publish(self, tick: Callable[[], None]) -> int:
        """Write key set and transcript; return the size of the log that they rest on.

        Opened values that the transcript does not keep are dropped afterwards: everybody has
        judged them, and what they were needed for is announced.
        """
        checkpoint = self.replica.checkpoint
        assert checkpoint is not None, "the announcement is covered"
        size = checkpoint.head.size
        kept = self.openings.kept(self.keeps)
        publish(
            self.root,
            self.signed,
            self.key,
            keeps=self.keeps,
            envelopes=self.replica.envelopes(0, size),
            checkpoint=checkpoint,
            batches=kept,
            opening=self.openings.opened,
            rejected=self.openings.refuted(kept),
            evidence=self.openings.evidence(),
            tick=tick,
        )
        self.openings.forget_all_but(kept, tick)
        return size

    def _compute(self, tick: Callable[[], None]) -> bytes:
        def online(index: int) -> memoryview:
            tick()
            return self.openings.read(("O", index))

        plan = self.signed.plan
        parameters, tag = lookup(plan.parameters), bytes.fromhex(plan.ceremony_id)
        seed, bodies = seed_of(online(0)), bodies_of(parameters, self.layout, online)
        hashed = {file: Hashed(tick=tick) for file in KeyFile}
        writes = {file: each.write for file, each in hashed.items()}
        write_key_set(parameters, seed, tag, bodies, writes)
        return digest_of_files({file.value: each.sha256 for file, each in hashed.items()})
