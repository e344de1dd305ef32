"""A party's log: the covered entries of its replica, folded, and the way to post new ones."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

import structlog

from infra.board import wire
from mpc_core.protocol.entries import Acknowledgement, Answer
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.board.replica import Replica
    from infra.party.gossip_pool import EntryPool
    from mpc_core.protocol.entries import Entry, LogEntry
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState

__all__ = ["PartyLog"]

_T = TypeVar("_T")
_TICK_SECONDS = 1.0
_log = structlog.get_logger()


class PartyLog:
    """The log as one party sees and extends it; the `Log` port of its steps.

    Every look holds the replica's lock, so the state stands still meanwhile.
    """

    def __init__(
        self,
        plan: Plan,
        replica: Replica,
        state: CeremonyState,
        *,
        submit: Callable[[bytes], int],
        tick: Callable[[], None],
        signer: tuple[int, Ed25519PrivateKey] | None = None,
        clock: Callable[[], float] = time.monotonic,
        pool: EntryPool | None = None,
    ) -> None:
        """Fold what the replica covers, now and later.

        Args:
            plan: the signed plan.
            replica: the verified copy.
            state: the state of an empty log.
            submit: hands an envelope to the board's host.
            tick: called about every second while somebody waits; what it raises ends the wait.
            signer: index and identity key; None for a party that only looks.
            clock: this party's own clock, in seconds.
            pool: keeps entries until the log covers them; None for a party that only looks.
        """
        self.plan = plan
        self._replica = replica
        self._state = state
        self._submit = submit
        self._tick = tick
        self._signer = signer
        self._clock = clock
        self._pool = pool
        self.spread: Callable[[bytes], None] = lambda _: None
        self._began = clock()
        self._covered_at: list[float] = []
        self._heard_at: dict[int, float] = {}
        self._posted: dict[Entry, bytes] = {}
        self._posting = threading.Lock()
        replica.subscribe(self._take)

    def _take(self, entry: LogEntry) -> None:
        now = self._clock()
        self._covered_at.append(now)
        for signer in entry.signers:
            self._heard_at[signer] = now
        self._state.apply(entry)

    def read(self, question: Callable[[CeremonyState], _T]) -> _T:
        """Return the answer to a question about the state, while the state stands still."""
        answers: list[_T] = []

        def ask() -> bool:
            answers.append(question(self._state))
            return True

        self._replica.wait_until(ask, None)
        return answers[0]

    def wait_for(self, question: Callable[[CeremonyState], _T | None]) -> _T:
        """Return the first answer that is not None."""
        while True:
            answer = self.wait_a_while(question, _TICK_SECONDS)
            if answer is not None:
                return answer
            self._tick()

    def wait_a_while(
        self, question: Callable[[CeremonyState], _T | None], seconds: float
    ) -> _T | None:
        """Return the first answer that is not None, or None when the time is over."""
        answers: list[_T] = []

        def ask() -> bool:
            answer = question(self._state)
            if answer is not None:
                answers.append(answer)
            return bool(answers)

        self._replica.wait_until(ask, seconds)
        return answers[0] if answers else None

    def wake(self) -> None:
        """Let everybody who waits ask again: an opened value has arrived."""
        self._replica.wake()

    def post(self, entry: Entry) -> None:
        """Sign an entry and hand it to the log; returns when the host has taken it.

        Raises:
            CeremonyError: the host's refusal, or RF-PEER-* when it is away.
        """
        assert self._signer is not None, "a party without a seat posts no entries"
        index, key = self._signer
        envelope = wire.sign_entry(entry, self.plan, index, key)
        if isinstance(entry, (Answer, Acknowledgement)):
            with self._posting:
                self._posted[entry] = envelope
        self.spread(envelope)
        self._submit(envelope)

    def post_signed(self, envelope: bytes) -> None:
        """Hand over an entry that somebody else signed."""
        self._submit(envelope)

    def post_voice(self, envelope: bytes) -> None:
        """Hand over a decision that this operator's people signed, to the others too."""
        self.spread(envelope)
        self._submit(envelope)

    def post_statement(self, entry: Entry, signatures: Mapping[int, bytes]) -> None:
        """Hand over a statement that n-t operators signed."""
        self._submit(wire.statement(entry, signatures))

    def opened(self, envelope: bytes) -> tuple[Entry, tuple[int, ...]]:
        """Return the entry and its signers, each of whose signatures is valid."""
        signed = wire.decode(envelope, self.plan)
        return signed.entry, signed.signers

    def hand_over(self, statement: Entry) -> int:
        """Offer the host what must stand on the log before a statement; return how much lacks.

        Raises:
            CeremonyError: RF-PEER-* when the host is away.
        """
        lacking = self._pool.demands(statement) if self._pool is not None else ()
        for envelope in lacking:
            self._offer(envelope)
        return len(lacking)

    def offer_again(self) -> None:
        """Offer the host what came directly and has not been on the log for a while."""
        for envelope in self._pool.due() if self._pool is not None else ():
            try:
                self._offer(envelope)
            except CeremonyError as error:
                _log.info("the host takes no entry now", reason=str(error))
                return

    def _offer(self, envelope: bytes) -> None:
        assert self._pool is not None, "a party without a pool has nothing to offer"
        try:
            place = self._submit(envelope)
        except CeremonyError as refusal:
            self._pool.answered(envelope, None, refusal.code)
            if not refusal.code.startswith("RF-LOG-0"):
                raise
        else:
            self._pool.answered(envelope, place)

    def endorse(self, body: bytes) -> bytes:
        """Return this operator's signature under the canonical body of a statement."""
        assert self._signer is not None, "a party without a seat endorses nothing"
        index, key = self._signer
        if self._pool is not None:
            self._pool.endorsed(wire.entry_of(body))
        return wire.endorse(body, self.plan.hash, index, key).signature

    def sign(self, domain: bytes, body: bytes) -> bytes:
        """Return this operator's signature under a message that is no entry."""
        assert self._signer is not None, "a party without a seat signs nothing"
        index, key = self._signer
        return wire.endorse(body, self.plan.hash, index, key, domain).signature

    def posted(self) -> dict[Entry, bytes]:
        """Return the answers and acknowledgements of this process, with their envelopes."""
        with self._posting:
            return dict(self._posted)

    def seconds_since_covered(self, position: int) -> float:
        """Return how long this party has held a co-signed checkpoint over this position."""
        return self._clock() - self._covered_at[position]

    def seconds_since_progress(self) -> float:
        """Return how long ago the log grew, or how long it has not since this process began."""
        return self._clock() - max(self._covered_at[-1:], default=self._began)

    def seconds_since_heard(self, operator: int) -> float:
        """Return how long ago the last signed message of an operator arrived here."""
        heard = self._heard_at.get(operator)
        return float("inf") if heard is None else self._clock() - heard
