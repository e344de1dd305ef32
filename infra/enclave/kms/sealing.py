"""Sealing: AES-256-GCM under a data key of the key service.

What a sealed object is for is its associated data: plan, operator, purpose and stage (the two parts
of its name) and version. One that was moved, renamed or taken from another operator or plan does
not open. An older version does: whether it is the newest is known above (`vault`), or does not
matter (`SealedStore`, for what can be made again).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from infra.board import strict
from infra.enclave.refusals import attestation_error

if TYPE_CHECKING:
    from activities.ports import Store
    from infra.enclave.kms.data_keys import Context
    from mpc_core.protocol.errors import CeremonyError

__all__ = ["HEAD", "SealedStore", "Sealer", "carry", "is_sealed"]

HEAD = b"ringforge/sealed/v1\n"
DOMAIN = b"ringforge/sealed-file/v1\0"
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class _Label:
    """What an object is for: its associated data."""

    plan_hash: bytes
    operator: str
    purpose: str
    stage: str
    version: int

    @property
    def associated_data(self) -> bytes:
        return DOMAIN + strict.encode(self)


@dataclass(frozen=True, slots=True)
class _Sealed:
    version: int
    nonce: bytes
    ciphertext: bytes


class Sealer:
    """Seals and opens for one operator of one plan.

    Security: nonces are random, so one data key seals at most 2^32 objects; an operator writes a
        few for each checkpoint of a ceremony.
    """

    def __init__(self, data_key: bytes, context: Context) -> None:
        """Seal under a data key.

        Args:
            data_key: 32 bytes.
            context: the plan and the operator.
        """
        self._cipher = AESGCM(data_key)
        self._context = context

    def seal(self, name: str, version: int, data: bytes) -> bytes:
        """Return the bytes of a sealed object."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        label = self._label(name, version)
        ciphertext = self._cipher.encrypt(nonce, data, label.associated_data)
        return HEAD + strict.encode(_Sealed(version, nonce, ciphertext))

    def opened(self, name: str, data: bytes) -> tuple[int, bytes]:
        """Return version and content of a sealed object.

        Raises:
            CeremonyError: RF-SEAL-001 if it is not what this operator sealed under this name.
        """
        if not data.startswith(HEAD):
            raise _not_opened(name, "a file that is not sealed")
        try:
            sealed = strict.decode(_Sealed, data[len(HEAD) :])
            label = self._label(name, sealed.version)
            plain = self._cipher.decrypt(sealed.nonce, sealed.ciphertext, label.associated_data)
        except strict.Malformed as error:
            raise _not_opened(name, "a file that is not as one is sealed") from error
        except (InvalidTag, ValueError) as error:
            raise _not_opened(name, "a file that was changed, moved or sealed elsewhere") from error
        return sealed.version, plain

    def _label(self, name: str, version: int) -> _Label:
        purpose, _, stage = name.partition("/")
        plan_hash, operator = self._context.plan_hash, self._context.operator
        return _Label(plan_hash, operator, purpose, stage, version)


def carry(name: str, source: Store, target: Store) -> None:
    """Move what one store keeps under a name to another one that has to write it anew.

    Raises:
        FileNotFoundError: if the source keeps nothing there.
    """
    data = source.read(name)
    if data is None:
        raise FileNotFoundError(name)
    target.write(name, data)
    source.discard(name)


class SealedStore:
    """A store around another one, which sees names, lengths and times, and no content.

    Security: the store below can lose files, and give an older version of one for the newest. So
        only what can be made again lies here, and an older version is as true as the newest.
    """

    def __init__(self, inner: Store, sealer: Sealer) -> None:
        """Seal what `inner` keeps."""
        self._inner = inner
        self._sealer = sealer

    def read(self, name: str) -> bytes | None:
        """Return what is stored, or None.

        Raises:
            CeremonyError: RF-SEAL-001 if it is not what this operator sealed under this name.
        """
        data = self._inner.read(name)
        return None if data is None else self._sealer.opened(name, data)[1]

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Seal and store; replaces what was there."""
        self._inner.write(name, self._sealer.seal(name, 0, data), durable=durable)

    def take(self, other: Store, name: str) -> None:
        """Move what another store keeps under a name here, durably.

        Raises:
            FileNotFoundError: if it keeps nothing there.
        """
        carry(name, other, self)

    def discard(self, name: str) -> None:
        """Remove what is no secret any more; nothing happens when the name is unknown."""
        self._inner.discard(name)

    def remove(self, name: str) -> None:
        """Overwrite and remove; nothing happens when the name is unknown."""
        self._inner.remove(name)

    def names(self, prefix: str) -> tuple[str, ...]:
        """Return the stored names below a prefix, sorted."""
        return self._inner.names(prefix)


def is_sealed(data: bytes) -> bool:
    """Tell whether bytes look like a sealed object's."""
    return data.startswith(HEAD)


def _not_opened(name: str, found: str) -> CeremonyError:
    return attestation_error(
        "RF-SEAL-001",
        f"{name} in the operator's store does not open",
        "what this operator sealed under this name",
        found,
        effect="the file is not used and not replaced; this operator stops",
        next_step="restore the file; if nobody touched it, suspect the host and tell the others",
    )
