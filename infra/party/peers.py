"""The other parties, found by the addresses they put on the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.board import strict
from infra.plan.keys import COORDINATOR
from infra.transport.fetch import fetch_blob
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.party.log import PartyLog
    from infra.stores import BlobStore
    from infra.transport.client import Peer, PeerClient
    from mpc_core.protocol.plan import Plan

__all__ = ["OWED_PATH", "OwedAnswer", "PeerBook"]

OWED_PATH = "/owed/"
_OWED_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class OwedAnswer:
    """An operator's signed entries that a summons lists."""

    entries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PeerBook:
    """The `Peers` port: fetches blobs and asks for entries over pinned mutual TLS."""

    plan: Plan
    client: PeerClient
    blobs: BlobStore
    log: PartyLog
    coordinator: tuple[str, int]
    tick: Callable[[], None]
    received: Callable[[str, int], None]

    def fetch(self, operator: int, root: bytes, size: int, label: str) -> None:
        """Fetch a blob of exactly this size into the own blobs; 0 is the coordinator."""
        target = self.blobs.path(root, label)
        leaf_bytes = self.plan.layout.leaf_bytes
        fetch_blob(self._peer(operator), root, size, leaf_bytes, target, tick=self.tick)
        self.received(label, size)
        self.log.wake()

    def owed_entries(self, operator: int, summons: int) -> tuple[bytes, ...]:
        """Ask an operator directly for its signed entries that a summons lists."""
        data = self._peer(operator).request("GET", f"{OWED_PATH}{summons}", limit=_OWED_BYTES)
        try:
            return strict.decode(OwedAnswer, data).entries
        except strict.Malformed as error:
            raise CeremonyError(
                "RF-PEER-015",
                "an operator answered a direct call with something unreadable",
                operator=self.plan.name_of(operator),
                expected="its signed entries",
                found=f"{len(data)} bytes: {error}",
                effect="it counts as not having answered",
                next_step="run the version of ringforge that the plan names on both sides",
                runbook="peer-sends-garbage",
            ) from error

    def _peer(self, operator: int) -> Peer:
        if not operator:
            return self.client.peer(COORDINATOR, *self.coordinator)
        address = self.log.read(lambda state: state.addresses.get(operator))
        if address is None:
            raise CeremonyError(
                "RF-PEER-016",
                "an operator has no address on the log",
                operator=self.plan.name_of(operator),
                expected="an address entry",
                found="none",
                effect="it cannot be asked; others are",
                next_step="start that operator",
                runbook="an-operator-is-down",
            )
        return self.client.peer(self.plan.name_of(operator), address.host, address.port)
