"""Where the processes of a sandbox run: all on loopback, or each behind a line of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["LOOPBACK", "Loopback", "Places", "Reach"]

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Reach:
    """How a party and the others reach each other.

    Attributes:
        listen: this machine's address at which the others reach it.
        ranges: in how many parts it fetches a blob at once.
        port: the port that it serves; 0 for any free one, which it says then.
    """

    listen: str = LOOPBACK
    ranges: int = 1
    port: int = 0


class Places(Protocol):
    """The networks of the parties, by their names."""

    def reach(self, name: str) -> Reach:
        """Return how a party and the others reach each other."""
        ...

    def entering(self, name: str) -> tuple[str, ...]:
        """Return the words before the command that starts a party."""
        ...

    def check(self) -> None:
        """Raise if parties can no longer reach each other."""
        ...


class Loopback:
    """All parties on this machine's loopback device."""

    def reach(self, name: str) -> Reach:  # noqa: ARG002 - the same for everybody
        """Return the loopback address; one connection is as fast as many."""
        return Reach()

    def entering(self, name: str) -> tuple[str, ...]:  # noqa: ARG002
        """Return nothing: a party runs where the sandbox does."""
        return ()

    def check(self) -> None:
        """Do nothing: loopback does not fail."""
