"""What an operator's steps need from the outside: the log, peers, blobs and two stores.

infra implements these over TLS and files; tests implement them in memory. A step sees nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from contextlib import AbstractContextManager

    from mpc_core.protocol.entries import Entry, Rejoin
    from mpc_core.protocol.state import CeremonyState
    from mpc_core.sharing.cached import WordSink, WordSource
    from mpc_core.sharing.opening import Buffer
    from mpc_core.sharing.recovery import Question

__all__ = ["Blobs", "Log", "Meter", "Peers", "StagedBlob", "Store", "SumsCache"]

Answer = TypeVar("Answer")


class Log(Protocol):
    """The operator's own verified copy of the log, up to the last co-signed checkpoint."""

    def read(self, question: Callable[[CeremonyState], Answer]) -> Answer:
        """Return the answer to a question about the state, while the state stands still."""
        ...

    def wait_for(self, question: Callable[[CeremonyState], Answer | None]) -> Answer:
        """Return the first answer that is not None; raises when the step is cancelled."""
        ...

    def wake(self) -> None:
        """Let everybody who waits ask again: an opened value was learned."""
        ...

    def post(self, entry: Entry) -> None:
        """Sign an entry and hand it to the log; returns when the host has taken it."""
        ...

    def post_signed(self, envelope: bytes) -> None:
        """Hand over an entry that somebody else signed: whoever holds one may post it."""
        ...

    def post_statement(self, entry: Entry, signatures: Mapping[int, bytes]) -> None:
        """Hand over a statement that n-t operators signed.

        Raises:
            CeremonyError: RF-LOG-004 or RF-LOG-005, when too few of the signatures are valid.
        """
        ...

    def hand_over(self, statement: Entry) -> int:
        """Offer the host what reached this operator and must stand on the log before a statement.

        Returns:
            How many such entries the log lacked until now.

        Raises:
            CeremonyError: RF-PEER-*, when the host is away.
        """
        ...

    def opened(self, envelope: bytes) -> tuple[Entry, tuple[int, ...]]:
        """Return the entry and its signers, each of whose signatures is valid.

        Raises:
            CeremonyError: RF-LOG-001 to -005, when the bytes are no signed entry of this plan.
        """
        ...

    def endorse(self, body: bytes) -> bytes:
        """Return this operator's signature under the canonical body of a statement."""
        ...

    def seconds_since_covered(self, position: int) -> float:
        """Return how long this operator has held a co-signed checkpoint over this position."""
        ...

    def seconds_since_heard(self, operator: int) -> float:
        """Return how long ago the last signed message of an operator arrived here."""
        ...


class StagedBlob(Protocol):
    """A blob that is whole but not served yet."""

    @property
    def root(self) -> bytes:
        """Its Merkle root."""
        ...

    def read(self) -> memoryview:
        """Return its bytes."""
        ...

    def keep(self, label: str, *, shared: bool = False) -> None:
        """Keep and serve it.

        Args:
            label: the stage that pays for the bytes.
            shared: whether other parties on this machine may use this copy: never a share.
        """
        ...

    def discard(self) -> None:
        """Drop it."""
        ...


class Blobs(Protocol):
    """Share vectors and openings, named by their Merkle root and served to peers."""

    def has(self, root: bytes) -> bool:
        """Return whether a verified copy is here."""
        ...

    def read(self, root: bytes) -> memoryview:
        """Return the bytes, checked against their root."""
        ...

    def wanted(self) -> tuple[bytes, ...]:
        """Return the roots of blobs that others asked for and that were not here."""
        ...

    def forget_wanted(self, root: bytes) -> None:
        """Take note that what can be done about such a blob is done."""
        ...

    def read_if_here(self, root: bytes) -> memoryview | None:
        """Return the bytes, checked against their root, or None; damaged ones count as absent."""
        ...

    def stage(self, pieces: Iterable[Buffer]) -> StagedBlob:
        """Take in a blob piece by piece; nobody sees it before it is kept."""
        ...

    def remove(self, root: bytes) -> None:
        """Stop serving and keeping these bytes; nothing happens when they are not here."""
        ...


class Peers(Protocol):
    """The other operators, over mutual TLS."""

    def fetch(
        self, operator: int, root: bytes, size: int, label: str, *, shared: bool = False
    ) -> None:
        """Fetch a blob of exactly this size into the own blobs.

        Args:
            operator: who is asked.
            root: Merkle root of the blob.
            size: its length in bytes.
            label: the stage that pays.
            shared: whether other parties on this machine may use this copy.

        Raises:
            CeremonyError: RF-PEER-*, when the peer is away or serves something else.
        """
        ...

    def ask(self, operator: int, question: Question) -> bytes:
        """Ask an operator directly, under this one's signature, for secrets that this one lost.

        Raises:
            CeremonyError: RF-PEER-*, when the peer does not answer; its refusal.
        """
        ...

    def admission(self, operator: int, entry: Rejoin) -> bytes:
        """Ask an operator directly to let this one in again; return its valid signature.

        Raises:
            CeremonyError: RF-PEER-*, when the peer does not answer; its refusal.
        """
        ...

    def owed_entries(self, operator: int, slots: tuple[str, ...]) -> tuple[bytes, ...]:
        """Ask an operator directly for its signed entries of the slots of a summons.

        What it answers is not checked yet. A call takes seconds, whatever the other side does.

        Raises:
            CeremonyError: RF-PEER-*, when the peer does not answer.
        """
        ...


class Store(Protocol):
    """Named byte strings, written atomically."""

    def read(self, name: str) -> bytes | None:
        """Return what is stored, or None."""
        ...

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Store or replace; what can be made again need not survive a power loss."""
        ...

    def take(self, other: Self, name: str) -> None:
        """Move what another store keeps under a name here, durably."""
        ...

    def discard(self, name: str) -> None:
        """Remove what is no secret any more; nothing happens when the name is unknown."""
        ...

    def remove(self, name: str) -> None:
        """Overwrite and remove; nothing happens when the name is unknown."""
        ...

    def names(self, prefix: str) -> tuple[str, ...]:
        """Return the stored names below a prefix, sorted."""
        ...


class SumsCache(Protocol):
    """Shares of x of the batches in flight, for as long as this process lives and there is room.

    Security: a batch is named by the identifier of its context, so one that is drawn anew never
        meets the sums of the one before.
    """

    def begin(self, context: bytes, count: int) -> WordSink | None:
        """Note so many sums of a batch, in place of what was noted of it; None if it cannot."""
        ...

    def find(self, context: bytes) -> WordSource | None:
        """Return the sums of a batch; None unless all of them were noted."""
        ...

    def drop(self, context: bytes) -> None:
        """Forget a batch; nothing happens when it is unknown."""
        ...

    def retain(self, contexts: Collection[bytes]) -> None:
        """Forget all other batches."""
        ...


class Meter(Protocol):
    """Accounts time and CPU to a stage."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Charge what happens inside to a stage."""
        ...
