"""Signed entries that reached an operator directly, until the log covers them.

- What comes is kept unread, within limits for each sender, and dropped when the log covers it: in
  a ceremony without trouble gossip costs no signature check.
- What the log has not taken after a while is verified and offered to the host: whoever holds a
  signed entry may post it.
- Before this operator signs a statement that ends a deadline, or a seal, the entries that it
  received must stand on the log; and it signs no head over such a statement without those that it
  had in time (the *slot rule* of PROTOCOL.md, "Model").

**In time** for a statement is what reached this operator before it first endorsed that statement,
if the statement on the log carries its signature, and what it had offered to the host, which
refused it or promised a place before the statement. So an honest host, which takes what it is
offered and keeps its promises, is never refused a signature, however entries and statements
overtake one another on their way to the operators. An order to endorse that comes again, or after
others have closed, does not count: the host may have used the first signature, or needed none.

**Chatter.** An author that sends ever new entries to operators only, to put off every statement,
gets so many times of delay for each statement; what it sends later is no longer demanded before
that statement. An entry once demanded stays demanded until it is there.

No threads, no network; the clock is passed in. Safe to use from several threads.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from infra.board import wire
from mpc_core.protocol.entries import Close, Seal
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import leaf_hash
from mpc_core.protocol.slots import comes_too_late_after, is_deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from infra.board.replica import Replica
    from mpc_core.protocol.entries import Entry, LogEntry

__all__ = ["EntryPool"]

MOST_ENTRIES = 512
"""Entries kept of one sender; what exceeds this still goes through the board."""

MOST_BYTES = 8 << 20
"""Bytes kept of one sender."""

PATIENCE_SECONDS = 3.0
"""How long the log may take to show an entry before it is offered to the host again."""

MOST_DELAYS_OF_A_CLOSE = 2
MOST_DELAYS_OF_A_SEAL = 8
_REMEMBERED = 256
_log = structlog.get_logger()


@dataclass(slots=True)
class _Item:
    """An entry that the log does not cover yet."""

    envelope: bytes
    sender: int
    arrived: float
    offered: float
    signed: wire.SignedEntry | None = None
    place: int | None = None
    refused: bool = False
    demanded: set[str] = field(default_factory=set)


class EntryPool:
    """One operator's pool."""

    def __init__(self, replica: Replica, clock: Callable[[], float], index: int) -> None:
        """Begin empty.

        Args:
            replica: the operator's copy of the log.
            clock: its own clock, in seconds.
            index: the operator's.
        """
        self._index = index
        self._plan = replica.plan
        self._replica = replica
        self._held = replica.position_of
        self._clock = clock
        self._lock = threading.Lock()
        self._items: dict[bytes, _Item] = {}
        self._count: Counter[int] = Counter()
        self._bytes: Counter[int] = Counter()
        self._covered: deque[bytes] = deque()
        self._endorsed: dict[bytes, float] = {}
        self._delays: Counter[tuple[str, int]] = Counter()
        replica.subscribe(lambda log: self._covered.append(log.leaf_hash))

    def __len__(self) -> int:
        with self._lock:
            self._sweep()
            return len(self._items)

    def receive(self, sender: int, envelopes: Iterable[bytes]) -> None:
        """Take entries that came from an operator, or from this one itself.

        What is too long, or exceeds what is kept for one sender, is left to the board.
        """
        now = self._clock()
        with self._lock:
            self._sweep()
            for envelope in envelopes:
                leaf = leaf_hash(envelope)
                size = len(envelope)
                if (
                    leaf not in self._items
                    and not self._is_covered(envelope)
                    and size <= self._plan.limits.entry_bytes
                    and self._count[sender] < MOST_ENTRIES
                    and self._bytes[sender] + size <= MOST_BYTES
                ):
                    self._items[leaf] = _Item(envelope, sender, now, now)
                    self._count[sender] += 1
                    self._bytes[sender] += size

    def due(self) -> tuple[bytes, ...]:
        """Return valid entries that the host should be offered now."""
        now = self._clock()
        with self._lock:
            self._sweep()
            late = [
                item
                for item in self._items.values()
                if now - item.offered >= PATIENCE_SECONDS and self._held(item.envelope) is None
            ]
            valid = [item.envelope for item in late if self._is_valid(item)]
        return tuple(valid)

    def answered(self, envelope: bytes, place: int | None, refusal: str = "") -> None:
        """Note what the host said to an offer.

        Args:
            envelope: the entry.
            place: the position that the host promised, None if it refused.
            refusal: the code of its refusal.
        """
        with self._lock:
            item = self._items.get(leaf_hash(envelope))
            if item is not None:
                item.offered, item.place = self._clock(), place
                item.refused = place is None and self._is_a_lie(item, refusal)

    def moved(self) -> None:
        """Forget promises: a new host begins, and statements are drawn up anew."""
        with self._lock:
            self._endorsed.clear()
            for item in self._items.values():
                item.place, item.refused = None, False

    # -- the slot rule ----------------------------------------------------------------------------

    def demands(self, statement: Entry) -> tuple[bytes, ...]:
        """Return what must stand on the log before this operator endorses a statement."""
        if not is_deadline(statement):
            return ()
        key = _key(statement)
        with self._lock:
            self._sweep()
            lacking = [
                item for item in self._concerned(statement) if not self._is_before(item, statement)
            ]
            new = {_author(item) for item in lacking if key not in item.demanded}
            for author in new:
                self._delays[key, author] += 1
            demanded = []
            for item in lacking:
                if key in item.demanded or self._may_delay(statement, _author(item)):
                    item.demanded.add(key)
                    demanded.append(item.envelope)
        return tuple(demanded)

    def endorsed(self, statement: Entry) -> None:
        """Note that this operator endorses a statement now: what comes later is not in time.

        The same statement again is signed with the same bytes, so only the first time counts.
        """
        if is_deadline(statement):
            with self._lock:
                self._endorsed.setdefault(wire.body_of(statement), self._clock())
                while len(self._endorsed) > _REMEMBERED:
                    del self._endorsed[next(iter(self._endorsed))]

    def objection(self, entries: Sequence[LogEntry]) -> str:
        """Return why a head over these uncovered entries must not be signed, "" if it may.

        Security: of n-t operators that sign such a head at least one is honest and its signature
            is under the statement; what an honest author sent to all in time is before it.
        """
        for log in entries:
            if not is_deadline(log.entry):
                continue
            with self._lock:
                self._sweep()
                missing = [
                    item
                    for item in self._concerned(log.entry)
                    if self._was_in_time(item, log) and not self._stands_before(item, log.position)
                ]
            if missing:
                names = sorted({self._plan.name_of(_author(item)) for item in missing})
                return f"no entry of {', '.join(names)} before entry {log.position}"
        return ""

    def _concerned(self, statement: Entry) -> Iterator[_Item]:
        for item in list(self._items.values()):
            if (
                self._is_valid(item)
                and item.signed is not None
                and not item.signed.is_statement
                and comes_too_late_after(statement, item.signed.entry)
            ):
                yield item

    def _is_before(self, item: _Item, statement: Entry) -> bool:
        size = statement.size if isinstance(statement, Seal) else None
        place = self._held(item.envelope)
        return place is not None and (size is None or place < size)

    def _stands_before(self, item: _Item, position: int) -> bool:
        place = self._held(item.envelope)
        return place is not None and place < position

    def _was_in_time(self, item: _Item, log: LogEntry) -> bool:
        if not self._may_demand(item, log.entry):
            return False
        endorsed = self._endorsed.get(wire.body_of(log.entry))
        if self._index in log.signers and endorsed is not None and item.arrived <= endorsed:
            return True
        return item.refused or (item.place is not None and item.place < log.position)

    def _may_demand(self, item: _Item, statement: Entry) -> bool:
        return _key(statement) in item.demanded or self._may_delay(statement, _author(item))

    def _may_delay(self, statement: Entry, author: int) -> bool:
        most = MOST_DELAYS_OF_A_SEAL if isinstance(statement, Seal) else MOST_DELAYS_OF_A_CLOSE
        return self._delays[_key(statement), author] <= most

    def _is_a_lie(self, item: _Item, refusal: str) -> bool:
        """Tell whether an honest host would not refuse an entry so, which is verified here."""
        if refusal == "RF-LOG-006":
            used = self._replica.messages_of(_author(item)) + MOST_ENTRIES
            return used < self._plan.limits.entries_per_operator
        return refusal in _REFUSALS

    # -- keeping ----------------------------------------------------------------------------------

    def _is_covered(self, envelope: bytes) -> bool:
        place = self._held(envelope)
        return place is not None and place < self._replica.covered_size

    def _is_valid(self, item: _Item) -> bool:
        """Verify an entry when it first matters, and drop it if it is none."""
        if item.signed is None:
            try:
                item.signed = wire.decode(item.envelope, self._plan)
            except CeremonyError as error:
                _log.info("gossip that is no entry", sender=item.sender, reason=str(error))
                self._drop(leaf_hash(item.envelope))
                return False
        return True

    def _sweep(self) -> None:
        while self._covered:
            self._drop(self._covered.popleft())

    def _drop(self, leaf: bytes) -> None:
        item = self._items.pop(leaf, None)
        if item is not None:
            self._count[item.sender] -= 1
            self._bytes[item.sender] -= len(item.envelope)


_REFUSALS = frozenset(f"RF-LOG-00{number}" for number in range(1, 6))
"""Refusals of bytes that are an entry: only a host that lies gives them for a verified one."""


def _key(statement: Entry) -> str:
    return statement.slot if isinstance(statement, Close) else statement.kind


def _author(item: _Item) -> int:
    assert item.signed is not None, "only verified entries have an author"
    return item.signed.signers[0]
