"""A store whose every file is sealed: AES-256-GCM under a data key of the key service.

What a file is for is its associated data: plan, operator, purpose and stage (the two parts of its
name) and version. A file that was moved, renamed or taken from another operator or plan does not
open. An older version of the same file does: that it is the newest is not seen here.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from infra.board import strict
from infra.enclave.kms.data_keys import Context, WrappedKey
from infra.enclave.refusals import attestation_error

if TYPE_CHECKING:
    from activities.ports import Store
    from infra.enclave.kms.data_keys import DataKeys
    from mpc_core.protocol.errors import CeremonyError

__all__ = ["WRAPPED_KEY", "SealedStore", "is_sealed", "read_wrapped_key"]

WRAPPED_KEY = "wrapped-key"
"""The name, in the store below, of the data key that seals the others."""

HEAD = b"ringforge/sealed/v1\n"
DOMAIN = b"ringforge/sealed-file/v1\0"
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class _Label:
    """What a file is for: its associated data."""

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


class SealedStore:
    """A store around another one, which sees names, lengths and times, and no content.

    Security: nonces are random, so one data key seals at most 2^32 files; a vault writes
        thousands. The store below can lose files, and give an older version of one for the newest.
    """

    def __init__(self, inner: Store, data_key: bytes, context: Context) -> None:
        """Seal what `inner` keeps.

        Args:
            inner: keeps the sealed bytes.
            data_key: 32 bytes.
            context: the plan and the operator.
        """
        self._inner = inner
        self._cipher = AESGCM(data_key)
        self._context = context

    @classmethod
    def create(cls, inner: Store, keys: DataKeys, kms_key: str, context: Context) -> Self:
        """Begin a sealed store; only who makes an operator's home may.

        Raises:
            CeremonyError: RF-SEAL-002 if there is one already, or as `DataKeys.create`.
        """
        if inner.read(WRAPPED_KEY) is not None:
            raise _no_key("no wrapped key yet", "one, whose files a new one would not open")
        wrapped, data_key = keys.create(kms_key, context)
        inner.write(WRAPPED_KEY, strict.encode(wrapped))
        return cls(inner, data_key, context)

    @classmethod
    def open(cls, inner: Store, keys: DataKeys, context: Context) -> Self:
        """Return the store that was begun once.

        Raises:
            CeremonyError: RF-SEAL-002 if its wrapped key is gone, or as `DataKeys.unwrap`.
        """
        wrapped = read_wrapped_key(inner)
        if wrapped is None:
            raise _no_key("the wrapped key of this store", "none")
        return cls(inner, keys.unwrap(wrapped, context), context)

    def read(self, name: str) -> bytes | None:
        """Return what is stored, or None.

        Raises:
            CeremonyError: RF-SEAL-001 if it is not what this operator sealed under this name.
        """
        opened = self._opened(name)
        return None if opened is None else opened[1]

    def version(self, name: str) -> int:
        """Return how many times a name was written since it was last removed.

        Raises:
            CeremonyError: RF-SEAL-001 if it is not what this operator sealed under this name.
        """
        opened = self._opened(name)
        return 0 if opened is None else opened[0]

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Seal and store; replaces what was there."""
        version = self.version(name) + 1
        nonce = secrets.token_bytes(NONCE_BYTES)
        label = self._label(name, version)
        ciphertext = self._cipher.encrypt(nonce, data, label.associated_data)
        sealed = HEAD + strict.encode(_Sealed(version, nonce, ciphertext))
        self._inner.write(name, sealed, durable=durable)

    def take(self, other: Self, name: str) -> None:
        """Move what another sealed store keeps under a name here, durably.

        Raises:
            FileNotFoundError: if it keeps nothing there.
        """
        data = other.read(name)
        if data is None:
            raise FileNotFoundError(name)
        self.write(name, data)
        other.discard(name)

    def discard(self, name: str) -> None:
        """Remove what is no secret any more; nothing happens when the name is unknown."""
        self._inner.discard(_free(name))

    def remove(self, name: str) -> None:
        """Overwrite and remove; nothing happens when the name is unknown."""
        self._inner.remove(_free(name))

    def names(self, prefix: str) -> tuple[str, ...]:
        """Return the stored names below a prefix, sorted."""
        return self._inner.names(prefix)

    def _label(self, name: str, version: int) -> _Label:
        purpose, _, stage = _free(name).partition("/")
        plan_hash, operator = self._context.plan_hash, self._context.operator
        return _Label(plan_hash, operator, purpose, stage, version)

    def _opened(self, name: str) -> tuple[int, bytes] | None:
        """Return version and content, or None."""
        data = self._inner.read(_free(name))
        if data is None:
            return None
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


def is_sealed(data: bytes) -> bool:
    """Tell whether bytes look like a sealed file's."""
    return data.startswith(HEAD)


def read_wrapped_key(inner: Store) -> WrappedKey | None:
    """Return the wrapped key of a store, or None if it has none.

    Raises:
        CeremonyError: RF-SEAL-002 if it is not as one is written.
    """
    data = inner.read(WRAPPED_KEY)
    if data is None:
        return None
    try:
        return strict.decode(WrappedKey, data)
    except strict.Malformed as error:
        raise _no_key("the wrapped key of this store", str(error)) from error


def _free(name: str) -> str:
    if name == WRAPPED_KEY:
        raise ValueError(name)
    return name


def _not_opened(name: str, found: str) -> CeremonyError:
    return attestation_error(
        "RF-SEAL-001",
        f"{name} in the operator's store does not open",
        "what this operator sealed under this name",
        found,
        effect="the file is not used and not replaced; this operator stops",
        next_step="restore the file; if nobody touched it, suspect the host and tell the others",
    )


def _no_key(expected: str, found: str) -> CeremonyError:
    return attestation_error(
        "RF-SEAL-002",
        "the operator's store has another wrapped key than it should",
        expected,
        found,
        effect="nothing was opened or sealed",
        next_step="restore the vault as it was; without its wrapped key nothing in it opens",
    )
