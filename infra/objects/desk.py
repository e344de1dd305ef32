"""What an operator and its people leave for each other in a bucket, in the clear.

In an enclave nobody can write a file for the operator's process. Its people leave there what they
approve and decide, and it leaves there what they have to look at. Whoever can write into the bucket
can take that away; what is said in somebody's name is signed (`infra.governance.speaking`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from activities.ports import Store
    from infra.objects.port import ObjectStore

__all__ = ["FOLDER", "Desk"]

FOLDER = "people"
"""Where it lies in the operator's bucket."""


@dataclass(frozen=True, slots=True)
class Desk:
    """A `Store` whose names are those of objects.

    Attributes:
        objects: where they lie.
    """

    objects: ObjectStore

    def read(self, name: str) -> bytes | None:
        """Return what lies there, or None.

        Raises:
            CeremonyError: RF-STORE-001.
        """
        found = self.objects.get(name)
        return None if found is None else found.data

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Put or replace, durably whatever is asked for.

        Raises:
            CeremonyError: RF-STORE-001; RF-STORE-002 if somebody else writes there at that moment.
        """
        del durable
        there = self.objects.get(name)
        self.objects.put(name, data, None if there is None else there.tag)

    def take(self, other: Store, name: str) -> None:
        """Move what another store keeps under a name here.

        Raises:
            FileNotFoundError: if it keeps nothing there.
        """
        data = other.read(name)
        if data is None:
            raise FileNotFoundError(name)
        self.write(name, data)
        other.discard(name)

    def discard(self, name: str) -> None:
        """Take away; nothing happens when nothing is there."""
        self.objects.delete(name)

    def remove(self, name: str) -> None:
        """Take away; nothing that lies here is secret."""
        self.discard(name)

    def names(self, prefix: str) -> tuple[str, ...]:
        """Return what lies below a prefix, sorted."""
        return tuple(name for name in self.objects.keys() if name.startswith(f"{prefix}/"))  # noqa: SIM118 - no mapping
