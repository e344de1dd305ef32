"""The other parties, in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from infra.drill.attested import meet
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.drill.attested import MemoryEnclave
    from infra.drill.stores import MemoryBlobs
    from mpc_core.protocol.entries import Rejoin
    from mpc_core.sharing.opening import Buffer
    from mpc_core.sharing.recovery import Question

__all__ = ["HOST", "MemoryPeers", "Reachable", "refused", "unreachable"]


HOST = 0
"""In place of an operator: the host of the board."""


class Reachable(Protocol):
    """A party that is up."""

    blobs: MemoryBlobs
    enclave: MemoryEnclave | None

    def owed_entries(self, slots: tuple[str, ...]) -> tuple[bytes, ...]:
        """Return the signed entries of these slots."""
        ...

    def give(self, question: Question) -> bytes:
        """Return sealed secrets that the asker lost."""
        ...

    def admit(self, entry: Rejoin) -> bytes:
        """Return a signature that lets the asker in again."""
        ...


@dataclass
class MemoryPeers:
    """The other parties: `reach` returns those that are up, by index."""

    blobs: MemoryBlobs
    reach: Callable[[int], Reachable | None]
    enclave: MemoryEnclave | None = None

    def fetch(
        self, operator: int, root: bytes, size: int, label: str, *, shared: bool = False
    ) -> None:
        """Fetch a blob of exactly this size into the own blobs."""
        del shared
        peer = self._peer(operator)
        data = self._served(peer, root)
        if data is None:
            peer.blobs.missed[root] = None
            raise refused("RF-PEER-091", operator, "a copy of the blob", "none")
        if len(data) != size:
            raise refused("RF-PEER-092", operator, f"{size} bytes", f"{len(data)} bytes")
        peer.blobs.sent[label] += size
        fetched = self.blobs.stage([data])
        if fetched.root != root:
            raise refused("RF-PEER-093", operator, "the bytes that the root names", "others")
        fetched.keep(label)

    def _served(self, peer: Reachable, root: bytes) -> Buffer | None:
        return peer.blobs.read_if_here(root)

    def owed_entries(self, operator: int, slots: tuple[str, ...]) -> tuple[bytes, ...]:
        """Ask an operator directly for its signed entries of the slots of a summons."""
        return self._peer(operator).owed_entries(slots)

    def ask(self, operator: int, question: Question) -> bytes:
        """Ask an operator directly for secrets that this one lost."""
        return self._peer(operator).give(question)

    def admission(self, operator: int, entry: Rejoin) -> bytes:
        """Ask an operator directly to let this one in again."""
        return self._peer(operator).admit(entry)

    def _peer(self, operator: int) -> Reachable:
        peer = self.reach(operator)
        if peer is None:
            raise unreachable(operator)
        meet(self.enclave, peer.enclave)
        return peer


def unreachable(operator: int) -> CeremonyError:
    """Return the error of who gets no answer from a party; 0 is the host of the board."""
    return refused("RF-PEER-090", operator, "an answer", "none")


def refused(code: str, operator: int, expected: str, found: str) -> CeremonyError:
    """Return the error of who does not get what it asked a party for."""
    return CeremonyError(
        code,
        f"operator {operator} of a drill does not serve what it is asked for",
        expected=expected,
        found=found,
        effect="the step is repeated later, or others are asked",
        runbook="drills",
    )
