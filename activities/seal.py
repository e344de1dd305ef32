"""What the seal and the end of a ceremony do to an operator's secrets.

PROTOCOL.md, "Recovery and destruction". Shares are safe in the vault before any key is destroyed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from activities.operator import SHARES_LOST, stage_key_name
from activities.shares import forget_passing_shares, keep_for_good, move_to_vault
from mpc_core.protocol.context import OFFLINE
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from activities.batches import Batches
    from activities.operator import Operator
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.protocol.context import BatchName
    from mpc_core.protocol.state import CeremonyState
    from mpc_core.ring.galois import RingArray

__all__ = ["KEY_SHARE", "KEY_SHARE_LOST", "Destruction"]

_SEED_BATCH = ("O", 0)
KEY_SHARE = "key-share.json"
"""Vault file that says what the operator's final share of the key consists of."""

KEY_SHARE_LOST = "key-share-lost.json"
"""Vault file of an operator that has no final share, because it lost what that consists of."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Destruction:
    """Securing shares and destroying keys at one operator."""

    operator: Operator
    batches: Batches

    def secure(self) -> None:
        """After the seal: bring all shares into the vault, then destroy the keys of N, S and M.

        Security: from here on nobody can reveal a batch key of the preprocessing, so a late false
            answer cannot make honest operators publish live noise. That holds for who lost some of
            its keys too: what it can compute no more it does not have, and the others go.
        """
        with self.operator.lock("secure"):
            self.operator.log.wait_for(_is_sealed)
            if self.is_secured():
                return
            if self._has_keys():
                for batch in self._offline():
                    self._secure(batch)
            self.operator.cache.retain(())
            for stage in OFFLINE:
                self.operator.vault.remove(stage_key_name(stage))
            for name in self.operator.vault.names("setup"):
                self.operator.vault.remove(name)

    def forget_seed_key(self) -> None:
        """Once the public seed is opened and answered for: destroy the keys of stage O.

        Nothing but the seed is made from them.
        """
        with self.operator.lock("secure"):
            if self.batches.is_answered(_SEED_BATCH):
                self.operator.vault.remove(stage_key_name("O"))

    def needs_no_seed_key(self) -> bool:
        """Return whether keys of stage O are here that nothing needs any more."""
        kept = self.operator.vault.read(stage_key_name("O")) is not None
        return kept and self.batches.is_answered(_SEED_BATCH)

    def is_secured(self) -> bool:
        """Return whether nothing is left from which keys of N, S and M follow."""
        return not self._has_keys() and not self.operator.vault.names("setup")

    def is_concluded(self) -> bool:
        """Return whether the vault has the final share, or a note of its loss, and no stage key."""
        vault = self.operator.vault
        is_noted = any(vault.read(name) is not None for name in (KEY_SHARE, KEY_SHARE_LOST))
        return is_noted and not vault.names("stage-keys")

    def _has_keys(self) -> bool:
        vault = self.operator.vault
        return any(vault.read(stage_key_name(stage)) is not None for stage in OFFLINE)

    def conclude(self) -> None:
        """After the announcement: keep the final key share and the unused floods, nothing else.

        Who lost shares after the seal has a gap there for good. It notes the loss, and destroys the
        rest like everybody: nobody waits for what cannot come any more.
        """
        with self.operator.lock("secure"):
            digest = self.operator.log.wait_for(_announced)
            self.secure()
            self.operator.vault.remove(stage_key_name("O"))
            kept: dict[str, list[str]] = {"bits": [], "flood": []}
            lost: list[str] = []
            for batch in self._offline():
                if batch.purpose in kept:
                    found = kept[batch.purpose] if self._keep_for_good(batch) else lost
                    found.append(str(self._opened(batch)[0]))
            forget_passing_shares(self.operator)
            self.batches.forget_openings()
            manifest = {
                "ceremony_id": self.operator.plan.ceremony_id,
                "plan_hash": self.operator.plan.hash.hex(),
                "key_set": digest.hex(),
                "operator": self.operator.index,
                "shares": kept,
            }
            self._note(manifest, lost)

    def _note(self, manifest: dict[str, object], lost: list[str]) -> None:
        """Say in the vault what the final share of the key consists of, or lacks."""
        vault = self.operator.vault
        name, other = (KEY_SHARE_LOST, KEY_SHARE) if lost else (KEY_SHARE, KEY_SHARE_LOST)
        content = manifest | {"lost": lost} if lost else manifest
        if lost:
            _log.warning("there is no final share", code=SHARES_LOST, lost=len(lost))
        vault.write(name, json.dumps(content, indent=1).encode())
        vault.remove(other)

    def _offline(self) -> list[BatchLayout]:
        return [batch for stage in OFFLINE for batch in self.operator.layout.stage(stage)]

    def _opened(self, batch: BatchLayout) -> tuple[BatchName, bytes]:
        """Return the name of a settled batch and the root of its opened value."""
        key = (batch.stage, batch.index)
        status = self.operator.log.read(lambda state: state.status(key))
        return status.name, bytes.fromhex(status.v_root)

    def _shares(self, batch: BatchLayout) -> RingArray | None:
        """Return the shares of a batch, None when they are lost for good."""
        try:
            return self.batches.shares((batch.stage, batch.index))
        except CeremonyError as error:
            if error.code != SHARES_LOST:
                raise
            return None

    def _keep_for_good(self, batch: BatchLayout) -> bool:
        """Store what stays of the key itself; return whether it is here."""
        shares = self._shares(batch)
        if shares is not None:
            keep_for_good(self.operator, *self._opened(batch), shares)
        return shares is not None

    def _secure(self, batch: BatchLayout) -> None:
        if self._is_in_vault(batch) or self._shares(batch) is None:
            return
        if not self._is_in_vault(batch):
            raise CeremonyError(
                "RF-SEAL-001",
                "the shares of a batch cannot be secured",
                operator=self.operator.name,
                stage=batch.stage,
                expected="shares of the sealed opening in work/",
                found="none that fit",
                effect="no key was destroyed; the step is tried again",
                next_step="check the disk of this operator",
                runbook="disk-full",
            )

    def _is_in_vault(self, batch: BatchLayout) -> bool:
        """Move shares into the vault; return whether they are there now."""
        return move_to_vault(
            self.operator, *self._opened(batch), self.operator.ring(batch.word_bits)
        )


def _is_sealed(state: CeremonyState) -> bool | None:
    return True if state.sealed is not None else None


def _announced(state: CeremonyState) -> bytes | None:
    return state.release.digest if state.release.announcement is not None else None
