"""What operators and the board's host say to each other.

A refusal travels as an answer, with all its fields, so that the operator's log tells why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from infra.board import strict

# The types of fields are looked up when messages are read, so these are needed at run time.
from infra.board.moves import MoveStatement, Opening  # noqa: TC001
from infra.board.notes import Checkpoint, Head  # noqa: TC001
from mpc_core.protocol.errors import CeremonyError

__all__ = [
    "ANSWER_BYTES",
    "REQUEST_BYTES",
    "Gossip",
    "GossipAnswer",
    "LogPage",
    "LogRequest",
    "MoveReply",
    "Refusal",
    "SubmitAnswer",
    "SyncAnswer",
    "SyncReply",
    "SyncRequest",
    "Vote",
    "read_message",
]

Message = TypeVar("Message")

ANSWER_BYTES = 1 << 20
"""Most bytes of entries in one answer; a single larger entry is still sent."""

REQUEST_BYTES = 1024
"""Most bytes of a sync request."""


@dataclass(frozen=True, slots=True)
class Vote:
    """The caller's signature of the head of this size, or of its certificate."""

    size: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """What an operator has, and what it signed since it asked last.

    Attributes:
        epoch: the newest epoch that is open for it.
        held: number of entries it holds.
        covered: number of entries covered by the newest checkpoint it knows.
        head: its signature of the head that was proposed to it.
        certificate: its signature of the certificate that was proposed to it.
    """

    epoch: int
    held: int
    covered: int
    head: Vote | None = None
    certificate: Vote | None = None


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    """What is new for an operator; all empty when nothing was for as long as the host waits.

    Attributes:
        first: position of the first entry.
        entries: entries that follow those it holds.
        proposal: a head it has not signed.
        certified: a certified head whose certificate it has not signed.
        counted: a checkpoint that counts, newer than it knows.
        opening: what opened the epoch of this board, when it is in an older one; nothing else is
            answered then.
    """

    first: int
    entries: tuple[bytes, ...] = ()
    proposal: Head | None = None
    certified: Checkpoint | None = None
    counted: Checkpoint | None = None
    opening: Opening | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A CeremonyError that crosses the network; nobody acts on more than its words."""

    code: str
    subject: str
    expected: str
    found: str
    effect: str
    next_step: str
    runbook: str
    operator: str

    @classmethod
    def of(cls, error: CeremonyError) -> Refusal:
        """Return the fields of an error."""
        return cls(
            error.code,
            error.subject,
            error.expected,
            error.found,
            error.effect,
            error.next_step,
            error.runbook,
            error.operator,
        )

    def error(self) -> CeremonyError:
        """Return the error again."""
        return CeremonyError(
            self.code,
            self.subject,
            expected=self.expected,
            found=self.found,
            effect=self.effect,
            next_step=self.next_step,
            runbook=self.runbook,
            operator=self.operator,
        )


@dataclass(frozen=True, slots=True)
class SubmitAnswer:
    """The position of a submitted entry, or why it is not one."""

    position: int | None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class SyncReply:
    """The answer to a sync, or why there is none."""

    answer: SyncAnswer | None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class MoveReply:
    """An operator's answer to a move request.

    Attributes:
        epoch: the newest epoch that it agreed to, after this request.
        statement: its statement, or why there is none.
    """

    epoch: int
    statement: MoveStatement | None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class LogRequest:
    """A member wants entries of the log from this position on."""

    first: int


@dataclass(frozen=True, slots=True)
class LogPage:
    """Entries that an operator holds: who signed a head serves what is below it.

    Attributes:
        first: position of the first entry.
        entries: as many as one answer takes.
        counted: the newest checkpoint that counts.
        opening: what opened the newest epoch, if the operator has it.
    """

    first: int
    entries: tuple[bytes, ...]
    counted: Checkpoint | None
    opening: Opening | None


@dataclass(frozen=True, slots=True)
class Gossip:
    """Signed entries that the log may not cover yet; none where an operator only shows up."""

    entries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class GossipAnswer:
    """How far an operator's own log is.

    Attributes:
        epoch: the newest epoch that is open for it.
        covered: entries under the newest checkpoint that it knows to count.
        signed: the last head that it signed, if any in this epoch.
        signature: its signature under that head.
    """

    epoch: int
    covered: int
    signed: Head | None = None
    signature: bytes = b""


def read_message(shape: type[Message], data: bytes) -> Message:
    """Return the message with these bytes.

    Raises:
        CeremonyError: RF-LOG-041 if they are not one.
    """
    try:
        return strict.decode(shape, data)
    except strict.Malformed as error:
        raise CeremonyError(
            "RF-LOG-041",
            "the other side of the board speaks another language",
            expected=f"a {shape.__name__}",
            found=f"{len(data)} bytes: {error}",
            effect="nothing was taken from it",
            next_step="run the version of ringforge that the plan names on both sides",
            runbook="board-refuses",
        ) from error
