"""What a refused caller is told: which member refuses it, by which code, and why.

After the handshake a server answers whoever it refuses with HTTP status 403 and a notice, without
reading what was sent. Before the end of a handshake TLS lets nobody say more than that it is over;
a caller that refuses a server only closes, and that server learns why when it calls in its turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.board import strict
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from infra.transport.client import Peer

__all__ = ["NOTICE", "NOTICE_BYTES", "Notice", "raw_answer", "refused_by"]

NOTICE = "application/vnd.ringforge.refusal"
"""Content type of a notice."""

NOTICE_BYTES = 4_096
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Notice:
    """A refusal on its way to the one who was refused; nobody acts on more than its words."""

    code: str
    subject: str
    expected: str
    found: str

    @classmethod
    def of(cls, error: CeremonyError) -> Notice:
        """Return what the refused one is told of an error."""
        parts = (error.code, error.subject, error.expected, error.found)
        return cls(*(part[:_SHOWN] for part in parts))

    @property
    def body(self) -> bytes:
        """The notice as bytes."""
        return strict.encode(self)


def raw_answer(error: CeremonyError) -> bytes:
    """Return a whole HTTP answer with a notice, for a connection that ends with it."""
    body = Notice.of(error).body
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Type: {NOTICE}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


def refused_by(peer: Peer, body: bytes) -> CeremonyError:
    """Return the error of a caller that was told why it is refused.

    Security: the words are a peer's; they are shown escaped and cut, and nothing follows from them.
    """
    try:
        notice = strict.decode(Notice, body[:NOTICE_BYTES])
        code, subject, expected, found = (
            ascii(part[:_SHOWN])[1:-1]
            for part in (notice.code, notice.subject, notice.expected, notice.found)
        )
    except strict.Malformed:
        code, subject, expected, found = "no code", "a notice that cannot be read", "", ""
    return CeremonyError(
        "RF-PEER-020",
        f"{peer.name} refuses this process: {code}  {subject}",
        expected=expected,
        found=found,
        effect="nothing that this process sent was read; it takes no part until this is put right",
        next_step="read the page for the code that the other side names",
        runbook="attestation-refused",
        operator=peer.name,
    )
