"""What an operator keeps of a batch: its shares, bound to the opened value and to a digest.

Before the seal shares lie in `work/`, where they can be lost: they are a function of the stage keys
and the public opening. The seal moves them to the vault, since it destroys the keys
(PROTOCOL.md, "Recovery and destruction"). A file whose digest does not fit is never used.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from activities.operator import Operator
    from activities.ports import Store
    from mpc_core.protocol.context import BatchName
    from mpc_core.ring.galois import Ring, RingArray

__all__ = ["forget_shares", "keep_shares", "move_to_vault", "stored_shares"]

_DIGEST = 32


def _name(batch: BatchName) -> str:
    return f"shares/{batch}"


def keep_shares(operator: Operator, batch: BatchName, binding: bytes, shares: RingArray) -> None:
    """Store shares in `work/`; `binding` is the root of the opened value they follow from."""
    data = np.ascontiguousarray(shares).tobytes()
    operator.work.write(_name(batch), binding + hashlib.sha256(data).digest() + data)


def stored_shares(
    operator: Operator, batch: BatchName, binding: bytes, ring: Ring
) -> RingArray | None:
    """Return the stored shares of this very opening, or None when they are not here or damaged."""
    for store in (operator.vault, operator.work):
        data = _checked(store, batch, binding)
        if data is not None:
            return np.array(np.frombuffer(data, np.uint64)).reshape(ring.shape(-1))
    return None


def _checked(store: Store, batch: BatchName, binding: bytes) -> bytes | None:
    stored = store.read(_name(batch))
    if stored is None or stored[:_DIGEST] != binding:
        return None
    data = stored[2 * _DIGEST :]
    return data if hashlib.sha256(data).digest() == stored[_DIGEST : 2 * _DIGEST] else None


def move_to_vault(operator: Operator, batch: BatchName, binding: bytes) -> bool:
    """Copy the shares of a batch into the vault; returns whether they are there now."""
    if _checked(operator.vault, batch, binding) is not None:
        return True
    if _checked(operator.work, batch, binding) is None:
        return False
    stored = operator.work.read(_name(batch))
    assert stored is not None
    operator.vault.write(_name(batch), stored)
    operator.work.remove(_name(batch))
    return True


def forget_shares(operator: Operator, batch: BatchName) -> None:
    """Destroy the shares of a batch wherever they are."""
    operator.vault.remove(_name(batch))
    operator.work.remove(_name(batch))
