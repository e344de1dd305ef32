"""The other parties, found by the addresses they put on the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.board import strict, wire
from infra.party import recovery
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.owed import slot_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.party.log import PartyLog
    from infra.stores import BlobStore
    from infra.transport.client import Peer, PeerClient
    from mpc_core.protocol.entries import Entry, Rejoin
    from mpc_core.protocol.plan import Plan
    from mpc_core.sharing.recovery import Question

__all__ = ["OWED_BYTES", "OWED_PATH", "PeerBook", "owed_answer"]

OWED_PATH = "/owed"
OWED_BYTES = 1 << 20
"""Most bytes of a direct call, and of its answer."""

_DIRECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _OwedRequest:
    """The slots that a summons lists."""

    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _OwedAnswer:
    """An operator's signed entries of these slots, as many as fit."""

    entries: tuple[bytes, ...]


def owed_answer(request: bytes, posted: Mapping[Entry, bytes]) -> bytes:
    """Answer a direct call with what this operator has signed of the slots that it names.

    The caller says what is missing: this operator may not have seen the summons.

    Args:
        request: body of the call.
        posted: the entries that this operator has signed, with their envelopes.

    Raises:
        CeremonyError: RF-PEER-017, when the call cannot be read.
    """
    try:
        wanted = set(strict.decode(_OwedRequest, request[:OWED_BYTES]).slots) - {""}
    except strict.Malformed as error:
        raise CeremonyError(
            "RF-PEER-017",
            "a direct call for missing entries cannot be read",
            expected="the slots that a summons lists",
            found=f"{len(request)} bytes: {error}",
            effect="it is not answered",
            next_step="run the version of ringforge that the plan names on both sides",
            runbook="peer-sends-garbage",
        ) from error
    found: list[bytes] = []
    room = OWED_BYTES // 2
    for entry, envelope in posted.items():
        if slot_of(entry) in wanted and len(envelope) <= room:
            found.append(envelope)
            room -= len(envelope)
    return strict.encode(_OwedAnswer(tuple(found)))


@dataclass(frozen=True, slots=True)
class PeerBook:
    """The `Peers` port: fetches blobs and asks for entries over pinned mutual TLS."""

    plan: Plan
    client: PeerClient
    blobs: BlobStore
    log: PartyLog
    host: Callable[[], Peer]
    tick: Callable[[], None]
    received: Callable[[str, int], None]
    direct_seconds: float = _DIRECT_SECONDS

    def fetch(
        self, operator: int, root: bytes, size: int, label: str, *, shared: bool = False
    ) -> None:
        """Fetch a blob of exactly this size into the own blobs; 0 is the coordinator."""
        peer = self._peer(operator)
        self.blobs.fetch(peer, root, size, label, tick=self.tick, shared=shared)
        self.received(label, size)
        self.log.wake()

    def owed_entries(self, operator: int, slots: tuple[str, ...]) -> tuple[bytes, ...]:
        """Ask an operator directly, once, for its signed entries of the slots of a summons."""
        data = self._peer(operator).ask_once(
            "POST",
            OWED_PATH,
            strict.encode(_OwedRequest(slots)),
            limit=OWED_BYTES,
            seconds=self.direct_seconds,
            tick=self.tick,
        )
        try:
            return strict.decode(_OwedAnswer, data).entries
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

    def ask(self, operator: int, question: Question) -> bytes:
        """Ask an operator directly, once, for secrets that this one lost."""
        peer = self._peer(operator)
        return recovery.ask(peer, self.log, question, self.direct_seconds, self.tick)

    def admission(self, operator: int, entry: Rejoin) -> bytes:
        """Ask an operator directly, once, to let this one in again; return its signature."""
        peer = self._peer(operator)
        signature = recovery.ask_admission(peer, self.log, entry, self.direct_seconds, self.tick)
        part = wire.Endorsement(operator, wire.ED25519, signature)
        wire.check_endorsement(wire.body_of(entry), self.plan, part)
        return signature

    def _peer(self, operator: int) -> Peer:
        if not operator:
            return self.host()
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
