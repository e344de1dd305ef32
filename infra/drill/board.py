"""The log in memory: every entry is admitted by the real rules; parties read covered prefixes.

Signatures are verified where an entry is admitted, once for all parties of this process.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from infra.board import wire
from infra.board.admission import Admission
from infra.drill.peers import HOST, unreachable
from mpc_core.protocol.entries import Acknowledgement, Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.drill.clock import Clock
    from mpc_core.protocol.entries import Entry, LogEntry
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState

__all__ = ["CoveredBoard", "MemoryBoard", "MemoryLog", "WouldWaitError"]

_T = TypeVar("_T")


class WouldWaitError(Exception):
    """A step waits for something that this party's log does not have yet."""


class MemoryBoard:
    """The log: every entry is admitted by the real rules and covered for everybody at once."""

    def __init__(self, plan: Plan, copied: MemoryBoard | None = None) -> None:
        self._plan = plan
        self.admission: Admission = (
            Admission(plan) if copied is None else deepcopy(copied.admission)
        )
        self.entries: list[LogEntry] = [] if copied is None else list(copied.entries)
        self.readers: list[MemoryLog] = []

    def copy(self) -> MemoryBoard:
        """Return a board with the same entries that nobody reads yet."""
        return MemoryBoard(self._plan, self)

    def submit(self, envelope: bytes) -> None:
        """Append an entry, unless it is one already."""
        if self.admission.position_of(envelope) is None:
            signed = self.admission.check(envelope)
            self.entries.append(self.admission.admit(envelope, signed))
            self.cover()

    def cover(self) -> None:
        """Let everybody see the whole log."""
        for reader in list(self.readers):
            reader.follow(len(self.entries))


class CoveredBoard(MemoryBoard):
    """A log of which co-signed checkpoints cover a prefix; parties hear of it when they do.

    Attributes:
        covered: size of that prefix.
        held: whether nothing is taken, so that a seal can follow what was signed.
    """

    covered = 0
    held = False

    def submit(self, envelope: bytes) -> None:
        """Append an entry, and keep it as it was signed.

        Raises:
            CeremonyError: RF-PEER-090 while the host takes nothing.
        """
        if self.held:
            raise unreachable(HOST)
        super().submit(envelope)
        self.envelopes[envelope] = None

    @cached_property
    def envelopes(self) -> dict[bytes, None]:
        """Begin with nothing."""
        return {}

    def cover(self) -> None:
        """Wait for signatures."""


class MemoryLog:
    """One party's copy of the log. It never waits: a step that would wait ends, to be repeated.

    Attributes:
        plan: the signed plan.
        board: the log it follows.
        state: what its prefix folds into.
        clock: this party's clock.
        signer: index and identity key, None for a party that only looks.
        tamper: what a lying operator posts instead of an entry.
        posted: answers and acknowledgements that this party has signed, with their envelopes.
    """

    def __init__(
        self,
        plan: Plan,
        board: MemoryBoard,
        state: CeremonyState,
        clock: Clock,
        signer: tuple[int, Ed25519PrivateKey] | None = None,
        *,
        seen: int | None = None,
    ) -> None:
        """Follow a board, from what is covered now or from `seen` entries on."""
        self.plan, self.board, self.state, self.clock = plan, board, state, clock
        self.signer = signer
        self.tamper: Callable[[Entry], Entry] = lambda entry: entry
        self.posted: dict[Entry, bytes] = {}
        self._covered_at: list[float] = []
        self._heard_at: dict[int, float] = {}
        self.follow(len(board.entries) if seen is None else seen)
        board.readers.append(self)

    @property
    def size(self) -> int:
        """Entries this party has seen under a co-signed checkpoint."""
        return len(self._covered_at)

    def now(self) -> float:
        """Return the time on this party's clock."""
        return self.clock.now

    def close(self) -> None:
        """Stop following."""
        self.board.readers.remove(self)

    def follow(self, size: int) -> None:
        """See the log up to this size."""
        for entry in self.board.entries[self.size : size]:
            self.take(entry)

    def take(self, entry: LogEntry) -> None:
        """Fold the next entry."""
        self._covered_at.append(self.now())
        self._heard_at.update(dict.fromkeys(entry.signers, self.now()))
        self.state.apply(entry)

    def read(self, question: Callable[[CeremonyState], _T]) -> _T:
        """Return the answer to a question about the state."""
        return question(self.state)

    def wait_for(self, question: Callable[[CeremonyState], _T | None]) -> _T:
        """Return the answer, if there is one now.

        Raises:
            WouldWaitError: if there is none.
        """
        answer = question(self.state)
        if answer is None:
            party = self.signer[0] if self.signer else 0
            raise WouldWaitError(f"party {party} would wait in {question.__qualname__}")
        return answer

    def wait_a_while(
        self, question: Callable[[CeremonyState], _T | None], seconds: float
    ) -> _T | None:
        """Return the answer as of now."""
        del seconds
        return question(self.state)

    def wake(self) -> None:
        """Nobody waits."""

    def post(self, entry: Entry) -> None:
        """Sign an entry and hand it to the board."""
        assert self.signer is not None
        entry = self.tamper(entry)
        envelope = wire.sign_entry(entry, self.plan, *self.signer)
        if isinstance(entry, (Answer, Acknowledgement)):
            self.posted[entry] = envelope
        self.post_signed(envelope)

    def post_signed(self, envelope: bytes) -> None:
        """Hand over an entry that somebody has signed."""
        self.board.submit(envelope)

    def post_statement(self, entry: Entry, signatures: Mapping[int, bytes]) -> None:
        """Hand over a statement with these signatures."""
        self.post_signed(wire.statement(entry, signatures))

    def hand_over(self, statement: Entry) -> int:  # noqa: ARG002 - the port's signature
        """Offer nothing: here the log shows everybody everything at once."""
        return 0

    def opened(self, envelope: bytes) -> tuple[Entry, tuple[int, ...]]:
        """Return the entry and its signers, each of whose signatures is valid."""
        signed = wire.decode(envelope, self.plan)
        return signed.entry, signed.signers

    def endorse(self, body: bytes) -> bytes:
        """Return this operator's signature under the canonical body of a statement."""
        assert self.signer is not None
        return wire.endorse(body, self.plan.hash, *self.signer).signature

    def seconds_since_covered(self, position: int) -> float:
        """Return how long this party has seen this position."""
        return self.now() - self._covered_at[position]

    def seconds_since_heard(self, operator: int) -> float:
        """Return how long ago the last signed message of an operator was seen."""
        return self.now() - self._heard_at.get(operator, float("-inf"))
