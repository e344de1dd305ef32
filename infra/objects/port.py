"""The port to a store of objects: named bytes that are written whole, and only over what was there.

A store may lie about everything. Its conditions keep two honest processes from writing over each
other, and nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["MOST_BYTES", "Found", "ObjectStore"]

MOST_BYTES = 1 << 30
"""Longest object that is taken from a store; the shares of a batch are the longest ones."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object, and what names this very content to the store."""

    data: bytes
    tag: str


class ObjectStore(Protocol):
    """Where objects lie. Every call may take as long as a network does."""

    def get(self, key: str) -> Found | None:
        """Return an object, or None.

        Raises:
            CeremonyError: RF-STORE-001 if the store does not answer or gives too much.
        """
        ...

    def put(self, key: str, data: bytes, replaces: str | None) -> str:
        """Write an object durably and return its tag.

        Args:
            key: its name.
            data: all of it.
            replaces: tag of what it replaces; None if there must be nothing yet.

        Raises:
            CeremonyError: RF-STORE-001, or RF-STORE-002 if something else is there.
        """
        ...

    def delete(self, key: str) -> None:
        """Give up an object; nothing happens when there is none.

        Security: a store keeps what it likes. What must be gone has to be sealed under a key that
            is destroyed.

        Raises:
            CeremonyError: RF-STORE-001.
        """
        ...

    def keys(self) -> tuple[str, ...]:
        """Return the names of all objects, sorted.

        Raises:
            CeremonyError: RF-STORE-001.
        """
        ...
