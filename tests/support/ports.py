"""The ports of an operator's steps in memory: a log covered at once, blobs, peers, stores."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.board import wire
from infra.board.admission import Admission
from mpc_core.protocol.entries import Acknowledgement, Answer
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mpc_core.protocol.entries import Entry, LogEntry
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState


@dataclass
class Clock:
    """A clock that goes forward when a test says so."""

    now: float = 0.0

    def advance(self, seconds: float) -> None:
        self.now += seconds


class MemoryBoard:
    """The log: every entry is admitted by the real rules and covered for everybody at once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._admission = Admission(plan)
        self.entries: list[LogEntry] = []
        self.readers: list[MemoryLog] = []

    def copy(self) -> MemoryBoard:
        """Return a board with the same entries that nobody reads yet."""
        board = MemoryBoard(self._plan)
        board._admission, board.entries = deepcopy(self._admission), list(self.entries)
        return board

    def submit(self, envelope: bytes) -> None:
        if self._admission.position_of(envelope) is None:
            signed = self._admission.check(envelope)
            self.entries.append(self._admission.admit(envelope, signed))
            for reader in list(self.readers):
                reader.take(self.entries[-1])


class MemoryLog:
    """One party's copy of the log. It never waits: what a step waits for must be there."""

    def __init__(
        self,
        plan: Plan,
        board: MemoryBoard,
        state: CeremonyState,
        clock: Clock,
        signer: tuple[int, Any] | None = None,
    ) -> None:
        self.plan, self.board, self.state, self.clock = plan, board, state, clock
        self.signer = signer
        self.tamper: Callable[[Entry], Entry] = lambda entry: entry
        self.posted: dict[Entry, bytes] = {}
        self._covered_at: list[float] = []
        self._heard_at: dict[int, float] = {}
        for entry in board.entries:
            self.take(entry)
        board.readers.append(self)

    def close(self) -> None:
        self.board.readers.remove(self)

    def take(self, entry: LogEntry) -> None:
        self._covered_at.append(self.clock.now)
        self._heard_at.update(dict.fromkeys(entry.signers, self.clock.now))
        self.state.apply(entry)

    def read(self, question):
        return question(self.state)

    def wait_for(self, question):
        answer = question(self.state)
        assert answer is not None, f"{self.signer and self.signer[0]} would wait for {question}"
        return answer

    def wait_a_while(self, question, seconds):
        return question(self.state)

    def wake(self) -> None:
        """Nobody waits."""

    def post(self, entry: Entry) -> None:
        assert self.signer is not None
        entry = self.tamper(entry)
        envelope = wire.sign_entry(entry, self.plan, *self.signer)
        if isinstance(entry, (Answer, Acknowledgement)):
            self.posted[entry] = envelope
        self.board.submit(envelope)

    def post_signed(self, envelope: bytes) -> None:
        self.board.submit(envelope)

    def opened(self, envelope: bytes) -> tuple[Entry, tuple[int, ...]]:
        signed = wire.decode(envelope, self.plan)
        return signed.entry, signed.signers

    def endorse(self, body: bytes) -> bytes:
        assert self.signer is not None
        return wire.endorse(body, self.plan.hash, *self.signer).signature

    def seconds_since_covered(self, position: int) -> float:
        return self.clock.now - self._covered_at[position]

    def seconds_since_heard(self, operator: int) -> float:
        return self.clock.now - self._heard_at.get(operator, float("-inf"))


@dataclass
class MemoryStagedBlob:
    """A blob that nobody sees yet."""

    blobs: MemoryBlobs
    data: bytes
    root: bytes

    def read(self) -> memoryview:
        return memoryview(self.data)

    def keep(self, label: str, *, shared: bool = False) -> None:
        self.blobs.kept[self.root] = self.data

    def discard(self) -> None:
        self.data = b""

    def altered(self, difference: int) -> MemoryStagedBlob:
        """Return the blob with something added to its first byte."""
        first = (self.data[0] + difference) & 0xFF
        return self.blobs.stage([bytes([first]), self.data[1:]])


@dataclass
class MemoryBlobs:
    """Blobs by root, and the bytes that were sent of them by stage."""

    leaf_bytes: int
    kept: dict[bytes, bytes] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)

    def copy(self) -> MemoryBlobs:
        return MemoryBlobs(self.leaf_bytes, dict(self.kept))

    def has(self, root: bytes) -> bool:
        return root in self.kept

    def read(self, root: bytes) -> memoryview:
        return memoryview(self.kept[root])

    def read_if_here(self, root: bytes) -> memoryview | None:
        return self.read(root) if self.has(root) else None

    def stage(self, pieces) -> MemoryStagedBlob:
        data = b"".join(bytes(piece) for piece in pieces)
        return MemoryStagedBlob(self, data, chunk_root(data, self.leaf_bytes))

    def publish(self, data: bytes, label: str) -> bytes:
        staged = self.stage([data])
        staged.keep(label)
        return staged.root

    def adopt(self, root: bytes, size: int, label: str) -> bool:
        return False

    def remove(self, root: bytes) -> None:
        self.kept.pop(root, None)


@dataclass
class MemoryPeers:
    """The other parties: `reach` returns those that are up, by index."""

    blobs: MemoryBlobs
    reach: Callable[[int], Any]

    def fetch(
        self, operator: int, root: bytes, size: int, label: str, *, shared: bool = False
    ) -> None:
        peer = self._peer(operator)
        if not peer.blobs.has(root):
            raise CeremonyError("RF-PEER-091", f"operator {operator} does not serve the blob")
        data = peer.blobs.read(root)
        assert len(data) == size
        peer.blobs.sent[label] += size
        assert self.blobs.publish(bytes(data), label) == root

    def owed_entries(self, operator: int, slots: tuple[str, ...]) -> tuple[bytes, ...]:
        return self._peer(operator).owed_entries(slots)

    def _peer(self, operator: int):
        peer = self.reach(operator)
        if peer is None:
            raise CeremonyError("RF-PEER-090", f"operator {operator} cannot be reached")
        return peer


@dataclass
class MemoryStore:
    """Named byte strings."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def copy(self) -> MemoryStore:
        return MemoryStore(dict(self.kept))

    def read(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        self.kept[name] = data

    def take(self, other: MemoryStore, name: str) -> None:
        self.kept[name] = other.kept.pop(name)

    def discard(self, name: str) -> None:
        self.remove(name)

    def remove(self, name: str) -> None:
        self.kept.pop(name, None)

    def names(self, prefix: str) -> tuple[str, ...]:
        return tuple(sorted(name for name in self.kept if name.startswith(f"{prefix}/")))


@dataclass
class CpuMeter:
    """CPU seconds by stage."""

    seconds: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.process_time()
        try:
            yield
        finally:
            self.seconds[name] += time.process_time() - started
