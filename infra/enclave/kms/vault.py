"""An operator's vault as sealed objects that hang together: all of it is old or new at once.

One object, the index, says which version of which object is the vault, by the digest of the sealed
bytes. A write adds an object and then replaces the index; that is the moment from which it counts.
So a store cannot swap, truncate, delete or bring back single objects unnoticed, and what the vault
gave up is gone also where the store kept it. What a store can do is to show index and objects of an
earlier moment: whether the vault is the newest only others can tell (`infra.party.freshness`).

The identity key lies beside: it never changes, and it is what is left to an operator whose vault
is lost.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from infra.board import strict
from infra.enclave.kms.data_keys import WrappedKey
from infra.enclave.kms.sealing import Sealer, carry
from infra.enclave.refusals import attestation_error
from infra.objects.refusals import store_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from activities.ports import Store
    from infra.enclave.kms.data_keys import Context, DataKeys
    from infra.objects.port import ObjectStore
    from mpc_core.protocol.errors import CeremonyError

__all__ = ["IDENTITY", "INDEX", "WRAPPED_KEY", "SealedVault", "read_wrapped_key"]

WRAPPED_KEY = "wrapped-key"
"""The object that holds the data key of all others, as only the key service opens it."""

IDENTITY = "identity"
LASTING = (IDENTITY, "setup-seed")
"""What never changes: the identity key, and the seed of an insecure sandbox."""

INDEX = "index"
OBJECTS = "objects"


@dataclass(frozen=True, slots=True)
class _Entry:
    """An object of the vault: its name, its version and the digest of its sealed bytes."""

    name: str
    version: int
    digest: bytes

    @property
    def key(self) -> str:
        return f"{OBJECTS}/{self.name}@{self.version}-{self.digest[:8].hex()}"


@dataclass(frozen=True, slots=True)
class _Index:
    entries: tuple[_Entry, ...]


class SealedVault:
    """The `Store` of an enclave's secrets. Safe to use from several threads of one process."""

    def __init__(self, objects: ObjectStore, sealer: Sealer) -> None:
        """Use `begin` or `open`."""
        self._objects = objects
        self.sealer = sealer
        self._lock = threading.RLock()
        self._entries: dict[str, _Entry] = {}
        self._generation = 0
        self._tag: str | None = None
        self._attempt: tuple[bytes, dict[str, _Entry]] | None = None

    @classmethod
    def begin(
        cls,
        objects: ObjectStore,
        keys: DataKeys,
        kms_key: str,
        context: Context,
        contents: Mapping[str, bytes],
    ) -> Self:
        """Begin the vault of an operator; only who makes its home may.

        It is there once its wrapped key is, so what a crash left of an earlier attempt is replaced.

        Args:
            objects: where it is to lie.
            keys: asks the key service for its data key.
            kms_key: ARN of the key above that.
            context: the plan and the operator.
            contents: what it holds from the beginning, by name, the identity key among them.

        Raises:
            CeremonyError: RF-SEAL-002 if there is one already, RF-STORE-001, or as
                `DataKeys.create`.
        """
        if objects.get(WRAPPED_KEY) is not None:
            raise _no_key("no wrapped key yet", "one, whose objects a new one would not open")
        wrapped, data_key = keys.create(kms_key, context)
        sealer = Sealer(data_key, context)
        vault = cls(objects, sealer)
        vault.begin_again()
        for name, data in contents.items():
            if name in LASTING:
                left = objects.get(name)
                sealed = sealer.seal(name, 0, data)
                objects.put(name, sealed, None if left is None else left.tag)
            else:
                vault.write(name, data)
        objects.put(WRAPPED_KEY, strict.encode(wrapped), None)
        return vault

    @classmethod
    def open(
        cls, objects: ObjectStore, keys_of: Callable[[str], DataKeys], context: Context
    ) -> Self:
        """Return the vault that was begun once, as the store has it; `load` it before use.

        Args:
            objects: where its objects lie.
            keys_of: returns the data keys below a key of the service, by its ARN.
            context: the plan and the operator.

        Raises:
            CeremonyError: RF-SEAL-002 if its wrapped key is gone, RF-STORE-001, or as
                `DataKeys.unwrap`.
        """
        wrapped = read_wrapped_key(objects)
        if wrapped is None:
            raise _no_key("the wrapped key of this store", "none")
        data_key = keys_of(wrapped.kms_key).unwrap(wrapped, context)
        return cls(objects, Sealer(data_key, context))

    def identity(self) -> bytes:
        """Return the identity key.

        Raises:
            CeremonyError: RF-STORE-003 if it is gone, RF-SEAL-001 if it does not open.
        """
        found = self._objects.get(IDENTITY)
        if found is None:
            raise _not_whole("the sealed identity key", "none", "restore that object from a copy")
        return self.sealer.opened(IDENTITY, found.data)[1]

    def setup_seed(self) -> bytes:
        """Return a party's part of an insecure setup seed; nothing where there is none."""
        found = self._objects.get("setup-seed")
        return b"" if found is None else self.sealer.opened("setup-seed", found.data)[1]

    def load(self) -> None:
        """Read the index; what the store has beside it is removed.

        Raises:
            CeremonyError: RF-STORE-003 if there is none, RF-SEAL-001 if it does not open.
        """
        with self._lock:
            found = self._objects.get(INDEX)
            if found is None:
                raise _not_whole("the index of the vault", "none")
            self._generation, data = self.sealer.opened(INDEX, found.data)
            self._tag = found.tag
            entries = strict.decode(_Index, data).entries
            self._entries = {entry.name: entry for entry in entries}
            known = {entry.key for entry in entries}
            for key in self._objects.keys():  # noqa: SIM118 - no mapping
                if key.startswith(f"{OBJECTS}/") and key not in known:
                    self._objects.delete(key)

    def begin_again(self) -> None:
        """Give up whatever the vault holds, the identity key excepted: its state is lost.

        Raises:
            CeremonyError: RF-STORE-001.
        """
        with self._lock:
            found = self._objects.get(INDEX)
            self._tag = None if found is None else found.tag
            self._commit({})
            for key in self._objects.keys():  # noqa: SIM118 - no mapping
                if key.startswith(f"{OBJECTS}/"):
                    self._objects.delete(key)

    # -- the port ---------------------------------------------------------------------------------

    def read(self, name: str) -> bytes | None:
        """Return what is stored, or None.

        Raises:
            CeremonyError: RF-STORE-003 if the store has something else than was written, or
                nothing; RF-STORE-001 if it does not answer.
        """
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                return None
            found = self._objects.get(entry.key)
        if found is None:
            raise _not_whole(f"{name}, version {entry.version}", "nothing")
        if hashlib.sha256(found.data).digest() != entry.digest:
            raise _not_whole(f"{name}, version {entry.version}", "other bytes")
        return self.sealer.opened(name, found.data)[1]

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Seal and store, durably whatever is asked for; replaces what was there.

        Raises:
            CeremonyError: RF-STORE-001; RF-STORE-002 if somebody else writes this vault.
        """
        del durable
        with self._lock:
            self._settle()
            old = self._entries.get(name)
            version = 0 if old is None else old.version + 1
            sealed = self.sealer.seal(name, version, data)
            entry = _Entry(name, version, hashlib.sha256(sealed).digest())
            self._objects.put(entry.key, sealed, None)
            self._commit({**self._entries, name: entry})
            if old is not None:
                self._objects.delete(old.key)

    def take(self, other: Store, name: str) -> None:
        """Move what another store keeps under a name here.

        Raises:
            FileNotFoundError: if it keeps nothing there.
        """
        carry(name, other, self)

    def discard(self, name: str) -> None:
        """Remove; nothing happens when the name is unknown."""
        with self._lock:
            self._settle()
            entry = self._entries.get(name)
            if entry is not None:
                self._commit({at: each for at, each in self._entries.items() if at != name})
                self._objects.delete(entry.key)

    def remove(self, name: str) -> None:
        """Remove; nothing happens when the name is unknown.

        Security: the store may keep the sealed bytes, and this very software could open them; it
            does not, since no index names them that it takes for the newest.
        """
        self.discard(name)

    def names(self, prefix: str) -> tuple[str, ...]:
        """Return the stored names below a prefix, sorted."""
        with self._lock:
            return tuple(sorted(name for name in self._entries if name.startswith(f"{prefix}/")))

    def _commit(self, entries: dict[str, _Entry]) -> None:
        """Replace the index: from now on the vault is this."""
        ordered = tuple(entries[name] for name in sorted(entries))
        data = strict.encode(_Index(ordered))
        sealed = self.sealer.seal(INDEX, self._generation + 1, data)
        self._attempt = sealed, entries
        self._take(self._objects.put(INDEX, sealed, self._tag), entries)

    def _settle(self) -> None:
        """Find out whether a commit that ended with an error took place all the same."""
        if self._attempt is not None:
            sealed, entries = self._attempt
            found = self._objects.get(INDEX)
            if found is not None and found.data == sealed:
                self._take(found.tag, entries)

    def _take(self, tag: str, entries: dict[str, _Entry]) -> None:
        self._tag, self._entries, self._attempt = tag, entries, None
        self._generation += 1


def read_wrapped_key(objects: ObjectStore) -> WrappedKey | None:
    """Return the wrapped key of a store, or None if it has none.

    Raises:
        CeremonyError: RF-SEAL-002 if it is not as one is written, RF-STORE-001.
    """
    found = objects.get(WRAPPED_KEY)
    if found is None:
        return None
    try:
        return strict.decode(WrappedKey, found.data)
    except strict.Malformed as error:
        raise _no_key("the wrapped key of this store", str(error)) from error


def _not_whole(
    expected: str,
    found: str,
    next_step: str = "restore the store as it was, or `ringforge operator run --rejoin`",
) -> CeremonyError:
    return store_error(
        "RF-STORE-003",
        "the store does not give back what this operator left there",
        expected,
        found,
        next_step,
        effect="this operator stops: it would act upon less than it knew",
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
