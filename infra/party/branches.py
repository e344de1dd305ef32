"""A store of two: what lies below some names is kept in another place than the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.enclave.kms.sealing import carry

if TYPE_CHECKING:
    from activities.ports import Store

__all__ = ["Branches"]


@dataclass(frozen=True, slots=True)
class Branches:
    """A `Store` that sends each name to one of two others.

    Attributes:
        sealed: keeps what an operator's host must neither see nor write.
        beside: keeps what other processes write, or what authenticates itself.
        names_beside: the first parts of the names that lie there.
    """

    sealed: Store
    beside: Store
    names_beside: tuple[str, ...]

    def read(self, name: str) -> bytes | None:
        """Return what is stored, or None."""
        return self._of(name).read(name)

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Store or replace."""
        self._of(name).write(name, data, durable=durable)

    def take(self, other: Store, name: str) -> None:
        """Move what another store keeps under a name here, durably.

        Raises:
            FileNotFoundError: if it keeps nothing there.
        """
        carry(name, other, self)

    def discard(self, name: str) -> None:
        """Remove what is no secret any more; nothing happens when the name is unknown."""
        self._of(name).discard(name)

    def remove(self, name: str) -> None:
        """Overwrite and remove; nothing happens when the name is unknown."""
        self._of(name).remove(name)

    def names(self, prefix: str) -> tuple[str, ...]:
        """Return the stored names below a prefix, sorted."""
        return self._of(prefix).names(prefix)

    def _of(self, name: str) -> Store:
        return self.beside if name.partition("/")[0] in self.names_beside else self.sealed
