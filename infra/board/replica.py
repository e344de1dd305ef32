"""A verified copy of the log: what everything an operator does follows from.

- It takes entries in order, each one verified in full; it never leaves a gap.
- A checkpoint that counts *covers* the entries below it. Only covered entries are shown to the
  rules: "everything an operator does follows from a prefix of the log that a co-signed checkpoint
  covers, never from what somebody showed to it alone" (PROTOCOL.md, "Model").
- What is covered never changes. Entries above may turn out not to be what n-t operators signed;
  they are dropped then and fetched again.

Transport-free and safe to use from several threads.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from infra.board.admission import Admission
from infra.board.notes import Checkpoint, Head, certificate_text, head_text, require_quorum
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import EMPTY_ROOT, Frontier, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from infra.board.copy import LogCopy
    from infra.board.moves import Opening
    from mpc_core.protocol.entries import LogEntry
    from mpc_core.protocol.plan import Plan

__all__ = ["Replica"]


class Replica:
    """The entries held, and how many of them are covered."""

    def __init__(self, plan: Plan, copy: LogCopy) -> None:
        self.plan = plan
        self._copy = copy
        self._changed = threading.Condition(threading.RLock())
        self._admission = Admission(plan)
        self._entries: list[LogEntry] = []
        self._bytes: list[bytes] = []
        self._checkpoint: Checkpoint | None = None
        self._listeners: list[Callable[[LogEntry], None]] = []
        self._stored = 0
        self._restore()

    @property
    def held(self) -> int:
        """Number of entries held, covered or not."""
        return len(self._entries)

    @property
    def covered_size(self) -> int:
        """Number of entries that the newest checkpoint covers."""
        checkpoint = self._checkpoint
        return checkpoint.head.size if checkpoint else 0

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint that counts."""
        return self._checkpoint

    def root(self, size: int) -> bytes:
        """Return the root over the first `size` entries held."""
        with self._changed:
            return self._entries[size - 1].prefix_root if size else EMPTY_ROOT

    def entries(self, first: int = 0) -> tuple[LogEntry, ...]:
        """Return the covered entries from position `first`."""
        with self._changed:
            return tuple(self._entries[first : self.covered_size])

    def held_entries(self, first: int = 0, size: int | None = None) -> tuple[LogEntry, ...]:
        """Return entries held from `first` on, covered or not: nothing may follow from them."""
        with self._changed:
            return tuple(self._entries[first:size])

    def envelopes(self, first: int, limit: int) -> tuple[bytes, ...]:
        """Return the bytes of held entries: who signed a head serves its entries."""
        with self._changed:
            return tuple(self._bytes[first : first + limit])

    def receive(self, first: int, envelopes: Sequence[bytes]) -> None:
        """Take the entries that follow; those before a bad one are kept.

        Args:
            first: position of the first of them, at most `held`.
            envelopes: their bytes.

        Raises:
            CeremonyError: RF-LOG-001 to -007 if one is not an entry, RF-LOG-022 if there is a gap,
                RF-LOG-032 if they begin with others than are held there.
        """
        with self._changed:
            if first > self.held:
                raise _missing(first, self.held)
            overlap = self._bytes[first : first + len(envelopes)]
            if list(envelopes[: len(overlap)]) != overlap:
                raise _other_entries(first)
            try:
                for data in envelopes[len(overlap) :]:
                    self._take(data)
            finally:
                self._store()

    def cover(self, checkpoint: Checkpoint) -> None:
        """Accept a checkpoint that counts; listeners see the entries that it newly covers.

        Raises:
            CeremonyError: RF-LOG-022 if entries below it are not held, RF-LOG-024 if it lacks
                signatures, RF-LOG-025 if uncovered entries held here are not those it covers
                (they are dropped), RF-LOG-026 if it contradicts an earlier one.
        """
        with self._changed:
            self.verify(checkpoint)
            before = self.covered_size
            if checkpoint.head.size <= before:
                return
            self._store()
            self._copy.add_checkpoint(checkpoint)
            self._checkpoint = checkpoint
            for entry in self._entries[before : checkpoint.head.size]:
                for listener in self._listeners:
                    listener(entry)
            self._changed.notify_all()

    def rebase(self, opening: Opening) -> tuple[bytes, ...]:
        """Drop what is not under the head with which a new epoch begins, and return it.

        What is dropped was never covered; those who hold such entries post them again. A copy that
        was covered in that epoch already, before its owner learned what opened it or knew so no
        more, keeps all that is covered.

        Args:
            opening: opens the epoch, as was verified; names the highest certified head.

        Raises:
            CeremonyError: RF-LOG-026 if what is covered here and that head do not agree.
        """
        with self._changed:
            dropped = tuple(self._bytes[self._size_under(opening) :])
            self._keep(self.held - len(dropped))
            self._changed.notify_all()
            return dropped

    def position_of(self, data: bytes) -> int | None:
        """Return where these bytes are held, covered or not."""
        with self._changed:
            return self._admission.position_of(data)

    def contradicts(self, head: Head) -> bool:
        """Tell whether the log held here is as long as a head's, and another one."""
        with self._changed:
            return head.size <= self.held and self.root(head.size) != head.root

    def messages_of(self, author: int) -> int:
        """Return how many messages of an operator are held."""
        with self._changed:
            return self._admission.messages_of(author)

    def catch_up(self, envelopes: Sequence[bytes], checkpoint: Checkpoint) -> None:
        """Take the entries between what is covered here and a checkpoint, from whoever has them.

        Entries held above what is covered make way if they are others. Nothing changes unless the
        entries are exactly those that n-t operators signed.

        Args:
            envelopes: the entries from `covered_size` on, up to the checkpoint.
            checkpoint: it counts.

        Raises:
            CeremonyError: RF-LOG-024 if it does not count, RF-LOG-032 if these are not its entries;
                otherwise as `receive` and `cover`.
        """
        text = certificate_text(self.plan.ceremony_id, checkpoint.head)
        require_quorum(self.plan, text, checkpoint.certificate_signatures)
        with self._changed:
            first, size = self.covered_size, checkpoint.head.size
            if size <= first:
                return
            tree = Frontier()
            for entry in self._entries[:first]:
                tree.append(entry.leaf_hash)
            for data in envelopes:
                tree.append(leaf_hash(data))
            if (tree.size, tree.root()) != (size, checkpoint.head.root):
                raise _other_entries(first)
            if list(envelopes[: self.held - first]) != self._bytes[first:size]:
                self._keep(first)
            self.receive(first, envelopes)
            self.cover(checkpoint)

    def verify(self, checkpoint: Checkpoint) -> None:
        """Check that a checkpoint counts and is one of the log held here. Raises as `cover`."""
        text = certificate_text(self.plan.ceremony_id, checkpoint.head)
        require_quorum(self.plan, text, checkpoint.certificate_signatures)
        self.verify_certified(checkpoint)

    def verify_certified(self, checkpoint: Checkpoint) -> None:
        """Check that a head is certified and is one of the log held here. Raises as `cover`."""
        head = checkpoint.head
        require_quorum(
            self.plan, head_text(self.plan.ceremony_id, head), checkpoint.head_signatures
        )
        with self._changed:
            if head.size > self.held:
                raise _missing(head.size, self.held)
            if self.root(head.size) == head.root:
                return
            if head.size <= self.covered_size:
                raise _two_histories(head)
            self._keep(self.covered_size)
            raise CeremonyError(
                "RF-LOG-025",
                "the newest entries held here are not those that the other operators signed",
                expected=f"root {head.root.hex()} over {head.size} entries",
                found="another root over the entries that the host had sent",
                effect="they were dropped and are fetched again; nothing had followed from them",
                next_step="ask the coordinator why it showed two logs",
                runbook="forked-log",
            )

    def flush(self) -> None:
        """Return when every entry held survives a power failure."""
        with self._changed:
            self._store()
            self._copy.flush()

    def close(self) -> None:
        """Release the copy on disk; nothing more can be received."""
        with self._changed:
            self._copy.close()

    def subscribe(self, listener: Callable[[LogEntry], None]) -> None:
        """Call `listener` for every covered entry, in order: those so far now, others later.

        It runs while the log stands still, so it must be short and must not wait for the log.
        """
        with self._changed:
            for entry in self.entries():
                listener(entry)
            self._listeners.append(listener)

    def wait_until(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `ready()`, asked again whenever more is covered; return its last answer."""
        with self._changed:
            return self._changed.wait_for(ready, timeout)

    def wait_for_size(self, size: int, timeout: float | None) -> bool:
        """Wait until at least `size` entries are covered; return whether they are."""
        return self.wait_until(lambda: self.covered_size >= size, timeout)

    def wake(self) -> None:
        """Let everybody who waits ask again, for reasons outside the log."""
        with self._changed:
            self._changed.notify_all()

    def _take(self, data: bytes) -> None:
        signed = self._admission.check(data)
        self._entries.append(self._admission.admit(data, signed))
        self._bytes.append(data)

    def _store(self) -> None:
        """Hand over what the copy lacks, also what a full disk refused earlier."""
        self._copy.add_entries(self._bytes[self._stored :])
        self._stored = self.held

    def _restore(self) -> None:
        """Take back what the copy holds, as far as it verifies; the rest is fetched again."""
        stored = self._copy.load()
        for data in stored.entries:
            try:
                self._take(data)
            except CeremonyError:
                self._copy.truncate(self.held)
                break
        self._stored = self.held
        if stored.checkpoint is not None:
            try:
                self.verify(stored.checkpoint)
            except CeremonyError:
                return  # nothing is covered until the host shows a checkpoint again
            self._checkpoint = stored.checkpoint

    def _size_under(self, opening: Opening) -> int:
        """Return how many entries are under the base of an epoch, or covered since."""
        base = opening.base.head if opening.base is not None else None
        size, covered = base.size if base is not None else 0, self.covered_size
        epoch = self._checkpoint.head.epoch if self._checkpoint is not None else 0
        if epoch > opening.epoch:
            return covered
        fits = size <= self.held and (base is None or self.root(size) == base.root)
        if (size < covered and epoch < opening.epoch) or (size <= covered and not fits):
            raise _two_histories(base)
        return max(size, covered) if fits else covered

    def _keep(self, size: int) -> None:
        """Forget all but the first `size` entries, of which at least the covered ones remain."""
        kept = self._bytes[:size]
        self._copy.truncate(len(kept))
        self._stored = min(self._stored, len(kept))
        self._admission = Admission(self.plan)
        self._entries, self._bytes = [], []
        for data in kept:
            self._take(data)
        if self._checkpoint is not None:
            self._copy.add_checkpoint(self._checkpoint)


def _missing(position: int, held: int) -> CeremonyError:
    return CeremonyError(
        "RF-LOG-022",
        "entries of the log are missing here",
        expected=f"every entry below position {position}",
        found=f"{held} entries",
        effect="nothing is signed over entries whose bytes are not held",
        runbook="board-refuses",
    )


def _other_entries(position: int) -> CeremonyError:
    return CeremonyError(
        "RF-LOG-032",
        "somebody sent other entries than are held here at the same places",
        expected=f"the entries held from position {position} on",
        found="other bytes",
        effect="they were not taken; what n-t operators signed decides",
        next_step="ask the coordinator why it showed two logs",
        runbook="forked-log",
    )


def _two_histories(head: Head | None) -> CeremonyError:
    return CeremonyError(
        "RF-LOG-026",
        "two checkpoints that count contradict each other: more than t operators are dishonest",
        expected="one history of the log",
        found=f"another root {head.root.hex()} over {head.size} entries" if head else "no entries",
        effect="the guarantees of the ceremony do not hold; stop it",
        next_step="keep both transcripts: they name everybody who signed both",
        runbook="forked-log",
    )
