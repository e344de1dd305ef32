"""What an operator keeps of a batch: its shares, bound to the opened value they follow from.

Until the key set is announced they lie encrypted under a key of the vault, so that the shares of
noise and products, gigabytes of them, are destroyed by forgetting 32 bytes. Before the seal the
files are in `work/`, where they can be lost: they are a function of the stage keys and the public
openings. The seal moves them to the vault, since it destroys the keys; the conclusion decrypts what
an operator keeps for good and forgets the rest (PROTOCOL.md, "Recovery and destruction").
A file that does not authenticate, or follows from another opening, is never used.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from activities.operator import Operator
    from activities.ports import Store
    from mpc_core.protocol.context import BatchName
    from mpc_core.ring.galois import Ring, RingArray

__all__ = [
    "PASSING",
    "forget_passing_shares",
    "keep_for_good",
    "keep_shares",
    "move_to_vault",
    "stored_shares",
]

_KEY = "shares-key"
_KEY_BYTES = 32
_NONCE = bytes(12)
_DIGEST = 32
_TAG = 16
PASSING = "passing-shares"
"""Where shares lie that are encrypted under a key of the vault."""


def _passing(batch: BatchName) -> str:
    return f"{PASSING}/{batch}"


def _kept(batch: BatchName) -> str:
    return f"shares/{batch}"


def keep_shares(operator: Operator, batch: BatchName, binding: bytes, shares: RingArray) -> None:
    """Store shares in `work/`; `binding` is the root of the opened value they follow from."""
    with operator.lock(_KEY):
        key = operator.vault.read(_KEY)
        if key is None:
            key = operator.random(_KEY, _KEY_BYTES)
            operator.vault.write(_KEY, key)
    data = np.ascontiguousarray(shares).data.cast("B")
    sealed = _cipher(key, batch, binding).encrypt(_NONCE, data, None)
    operator.work.write(_passing(batch), sealed, durable=False)


def stored_shares(
    operator: Operator, batch: BatchName, binding: bytes, ring: Ring
) -> RingArray | None:
    """Return the stored shares of this very opening, or None when they are not here or damaged."""
    data = _kept_data(operator, batch, binding)
    for store in (operator.vault, operator.work):
        if data is None:
            data = _passing_data(operator, store, batch, binding)
    return None if data is None else data.view(np.uint64).reshape(ring.shape(-1))


def _kept_data(operator: Operator, batch: BatchName, binding: bytes) -> NDArray[np.uint8] | None:
    stored = operator.vault.read(_kept(batch))
    if stored is None or stored[:_DIGEST] != binding:
        return None
    data = np.array(np.frombuffer(stored, np.uint8, offset=2 * _DIGEST))
    return data if hashlib.sha256(data.data).digest() == stored[_DIGEST : 2 * _DIGEST] else None


def _passing_data(
    operator: Operator, store: Store, batch: BatchName, binding: bytes
) -> NDArray[np.uint8] | None:
    key, stored = operator.vault.read(_KEY), store.read(_passing(batch))
    if key is None or stored is None or len(stored) < _TAG:
        return None
    data = np.empty(len(stored) - _TAG, np.uint8)
    try:
        _cipher(key, batch, binding).decrypt_into(_NONCE, stored, None, data.data)
    except InvalidTag:
        return None
    return data


def _cipher(key: bytes, batch: BatchName, binding: bytes) -> AESGCM:
    """Return the cipher of one file.

    Security: its key belongs to one batch and one opened value, and so to one plaintext; that is
        why a fixed nonce is enough.
    """
    info = b"shares" + binding + str(batch).encode()
    return AESGCM(HKDF(SHA256(), _KEY_BYTES, None, info).derive(key))


def move_to_vault(operator: Operator, batch: BatchName, binding: bytes, ring: Ring) -> bool:
    """Move the shares of a batch into the vault, durably; returns whether they are there now."""
    if _passing_data(operator, operator.vault, batch, binding) is not None:
        return True
    if stored_shares(operator, batch, binding, ring) is None:
        return False
    operator.vault.take(operator.work, _passing(batch))
    return True


def keep_for_good(operator: Operator, batch: BatchName, binding: bytes, shares: RingArray) -> None:
    """Store shares in the vault that the operator keeps after the ceremony."""
    data = np.ascontiguousarray(shares).tobytes()
    operator.vault.write(_kept(batch), binding + hashlib.sha256(data).digest() + data)


def forget_passing_shares(operator: Operator) -> None:
    """Destroy all shares but those kept for good: first their key, then the useless files."""
    operator.vault.remove(_KEY)
    for store in (operator.vault, operator.work):
        for name in store.names(PASSING):
            store.discard(name)
