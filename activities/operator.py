"""An operator as its steps see it: the signed plan, its seat, its keys and its ports."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.galois import Ring, degree_for
from mpc_core.sharing.prss import StreamKey, batch_key
from mpc_core.sharing.sets import sets_of
from mpc_core.tfhe.objects import SecretKeySpec, secret_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from activities.arithmetic import KnownValues
    from activities.ports import Blobs, Log, Peers, Store, SumsCache
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.plan import Plan
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["SHARES_LOST", "Operator", "StageKeys", "batch_layout"]

SHARES_LOST = "RF-RECOVER-012"
"""Shares are gone, and so are everywhere the keys from which they follow: nothing helps."""

_STAGE_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class StageKeys:
    """The child keys of one stage, for every set that contains this operator, canonical order."""

    sets: tuple[tuple[int, ...], ...]
    children: tuple[bytes, ...]

    def batch_keys(
        self, context: bytes, stream: str, bits: int
    ) -> dict[tuple[int, ...], StreamKey]:
        """Derive the batch key of every set for one stream (PROTOCOL.md, "PRSS keys")."""
        return {
            members: batch_key(child, context, stream, bits)
            for members, child in zip(self.sets, self.children, strict=True)
        }

    def encode(self) -> bytes:
        """Return the children in order, for the vault."""
        return b"".join(self.children)


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of one ceremony."""

    plan: Plan
    index: int
    parameters: Parameters
    layout: CeremonyLayout
    log: Log
    known: KnownValues
    blobs: Blobs
    peers: Peers
    vault: Store
    work: Store
    cache: SumsCache
    random: Callable[[str, int], bytes]
    _locks: dict[str, threading.RLock] = field(default_factory=lambda: defaultdict(threading.RLock))
    _locking: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        """This operator's name in the plan."""
        return self.plan.name_of(self.index)

    @property
    def tag(self) -> bytes:
        """The tag in the key files: the ceremony's identifier."""
        return bytes.fromhex(self.plan.ceremony_id)

    @property
    def keys(self) -> tuple[SecretKeySpec, ...]:
        """The secret keys of the parameter set, in generation order."""
        return secret_keys(self.parameters)

    @property
    def ring_degree(self) -> int:
        """Degree d of the Galois rings of this ceremony."""
        return degree_for(self.plan.count)

    def ring(self, bits: int) -> Ring:
        """Return GR(2^bits, d)."""
        return Ring(bits, self.ring_degree)

    def batch(self, key: BatchKey) -> BatchLayout:
        """Return a batch of the layout, or that of a decryption request on the log."""
        return batch_layout(self.layout, self.log, key)

    def lock(self, name: str) -> threading.RLock:
        """Return the lock of a batch or step, so that it runs once at a time in this process."""
        with self._locking:  # two threads must not make two of the same name
            return self._locks[name]

    def own_sets(self) -> tuple[tuple[int, ...], ...]:
        """Return the sets A that contain this operator, in canonical order."""
        return sets_of(self.plan.count, self.plan.threshold, self.index)

    def stage_keys(self, stage: str) -> StageKeys:
        """Read the child keys of a stage from the vault.

        Raises:
            CeremonyError: RF-SETUP-001, when they are not here; RF-RECOVER-012, when they are
                destroyed everywhere.
        """
        stored = self.vault.read(stage_key_name(stage))
        sets = self.own_sets()
        if stored is None or len(stored) != _STAGE_KEY_BYTES * len(sets):
            sealed = self.log.read(lambda state: state.sealed is not None)
            raise self._shares_are_lost(stage) if sealed else self._keys_are_lost(stage, stored)
        return StageKeys(
            sets,
            tuple(
                stored[start : start + _STAGE_KEY_BYTES]
                for start in range(0, len(stored), _STAGE_KEY_BYTES)
            ),
        )

    def _keys_are_lost(self, stage: str, stored: bytes | None) -> CeremonyError:
        return CeremonyError(
            "RF-SETUP-001",
            "this operator does not hold the keys of the stage",
            operator=self.name,
            stage=stage,
            expected=f"{len(self.own_sets())} stage keys in the vault",
            found="none" if stored is None else "another number of keys",
            effect="it cannot compute share vectors of this stage until it has them",
            next_step="none: it asks the other members of its sets for them",
            runbook="lost-state",
        )

    def _shares_are_lost(self, stage: str) -> CeremonyError:
        return CeremonyError(
            SHARES_LOST,
            "this operator lost its shares after the keys they follow from were destroyed",
            operator=self.name,
            stage=stage,
            expected="its shares in the vault",
            found="none, and the seal on the log",
            effect="it is a gap in what is left to do, and will have no share of the key",
            next_step="finish without it; give it a share again when the key is shared anew",
            runbook="lost-state",
        )


def batch_layout(layout: CeremonyLayout, log: Log, key: BatchKey) -> BatchLayout:
    """Return a batch of a layout, or that of a decryption request on a party's log."""
    stage, index = key
    later = index - len(layout.assembly)
    if stage != "O" or later < 0:
        return layout.batch(stage, index)
    request = log.read(lambda state: state.release.requests[later])
    return layout.decryption(later, request.first_flood, request.openings)


def stage_key_name(stage: str) -> str:
    """Return the vault's name of a stage's child keys."""
    return f"stage-keys/{stage}"
