"""Where the processes of a sandbox run: all on loopback, or each behind a line of its own."""

from __future__ import annotations

from typing import Protocol

__all__ = ["LOOPBACK", "Loopback", "Places"]

LOOPBACK = "127.0.0.1"


class Places(Protocol):
    """The networks of the parties, by their names."""

    def host(self, name: str) -> str:
        """Return the address at which a party listens."""
        ...

    def entering(self, name: str) -> tuple[str, ...]:
        """Return the words before the command that starts a party."""
        ...

    def check(self) -> None:
        """Raise if parties can no longer reach each other."""
        ...


class Loopback:
    """All parties on this machine's loopback device."""

    def host(self, name: str) -> str:  # noqa: ARG002 - the same for everybody
        """Return the loopback address."""
        return LOOPBACK

    def entering(self, name: str) -> tuple[str, ...]:  # noqa: ARG002
        """Return nothing: a party runs where the sandbox does."""
        return ()

    def check(self) -> None:
        """Do nothing: loopback does not fail."""
