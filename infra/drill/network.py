"""The network of a drill: messages are lost, late, repeated, or not confirmed; parties are cut off.

Every sender draws its own luck, so that leaving out one disturbance leaves the others what they
are.
"""

from __future__ import annotations

import random
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, cast

from infra.drill.board import MemoryLog
from infra.drill.peers import HOST, MemoryPeers, unreachable
from infra.drill.schedule import Noise
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from infra.drill.clock import SkewedClock
    from infra.drill.peers import Reachable
    from mpc_core.protocol.entries import Entry, Rejoin
    from mpc_core.sharing.opening import Buffer
    from mpc_core.sharing.recovery import Question

__all__ = ["HOST", "DrillLog", "DrillPeers", "Network"]


@dataclass
class Network:
    """Who reaches whom.

    Attributes:
        seed: of everybody's luck.
        noise: what happens to messages now.
        cut: parties that reach nobody; 0 is the host of the board.
        late: envelopes on their way.
    """

    seed: int
    noise: Noise = field(default_factory=Noise)
    cut: set[int] = field(default_factory=set)
    late: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin everybody's luck."""
        self._luck: defaultdict[int, random.Random] = defaultdict(random.Random)

    def luck(self, sender: int) -> random.Random:
        """Return what decides a sender's messages."""
        if sender not in self._luck:
            self._luck[sender] = random.Random(f"network {self.seed} {sender}")  # noqa: S311
        return self._luck[sender]

    def connects(self, one: int, other: int) -> bool:
        """Tell whether a message gets through this time."""
        if {one, other} & self.cut:
            return False
        return self.luck(one).random() >= self.noise.loss

    def post(self, sender: int, envelope: bytes, submit: Callable[[bytes], None]) -> None:
        """Bring an envelope to the board, or not.

        Raises:
            CeremonyError: RF-PEER-090 when the sender must believe that it did not arrive, else
                the board's refusal.
        """
        if not self.connects(sender, HOST):
            raise unreachable(HOST)
        luck = self.luck(sender)
        if luck.random() < self.noise.late:
            self.late.append(envelope)
            raise unreachable(HOST)
        submit(envelope)
        if luck.random() < self.noise.twice:
            submit(envelope)
        if luck.random() < self.noise.unheard:
            raise unreachable(HOST)


class DrillLog(MemoryLog):
    """The log of a party that reaches the board over the network and has a clock of its own.

    Attributes:
        heard: entries that others sent directly and that the board may not have yet.
    """

    network: Network
    touched: Callable[[str], None]
    signing: Callable[[Entry], None]
    woken: int = 0

    @cached_property
    def heard(self) -> list[bytes]:
        """Begin with nothing."""
        return []

    @property
    def news(self) -> int:
        """A number that grows whenever a question may have another answer."""
        return self.size + self.woken

    def wake(self) -> None:
        """Let whoever waits ask again: an opened value was learned."""
        self.woken += 1

    def now(self) -> float:
        """Return the time on this party's own clock."""
        clock: SkewedClock = self.clock  # type: ignore[assignment]
        return clock.look()

    def post(self, entry: Entry) -> None:
        """Sign an entry and hand it to the board."""
        self.signing(entry)
        super().post(entry)

    def offer_what_was_heard(self) -> int:
        """Hand over what others sent directly; return how much of it the board did not have."""
        lacking = 0
        for envelope in tuple(self.heard):
            try:
                if self.board.admission.position_of(envelope) is None:
                    lacking += 1
                    self.post_signed(envelope)
                self.heard.remove(envelope)
            except CeremonyError as refusal:
                if not refusal.code.startswith("RF-PEER"):
                    self.heard.remove(envelope)  # it is no entry
        return lacking

    def hand_over(self, statement: Entry) -> int:
        """Do so before a statement ends the time for some of it."""
        del statement
        return self.offer_what_was_heard()

    def post_signed(self, envelope: bytes) -> None:
        """Hand over an entry; it may be the last thing this process does."""
        self.touched("post")
        sender = self.signer[0] if self.signer else HOST
        self.network.post(sender, envelope, self.board.submit)
        self.touched("posted")


class Server(Protocol):
    """A party that sees who asks for a blob."""

    def serve(self, asker: int, root: bytes) -> bytes | None:
        """Answer a call for a blob."""
        ...


@dataclass
class DrillPeers(MemoryPeers):
    """The other parties over the network."""

    network: Network = field(default_factory=lambda: Network(0))
    index: int = 0
    called: Callable[[int], AbstractContextManager[None]] = lambda _: nullcontext()

    def ask(self, operator: int, question: Question) -> bytes:
        """Ask an operator directly for secrets that this one lost."""
        with self.called(operator):
            return super().ask(operator, question)

    def admission(self, operator: int, entry: Rejoin) -> bytes:
        """Ask an operator directly to let this one in again."""
        with self.called(operator):
            return super().admission(operator, entry)

    def _served(self, peer: Reachable, root: bytes) -> Buffer | None:
        return cast("Server", peer).serve(self.index, root)

    def _peer(self, operator: int) -> Reachable:
        if not self.network.connects(self.index, operator):
            raise unreachable(operator)
        return super()._peer(operator)
