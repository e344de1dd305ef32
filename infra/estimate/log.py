"""The entries that an undisturbed ceremony puts on the log, with their encoded sizes.

Every entry is built with values of the right shape and encoded as the parties encode it, so the
sizes are the real ones; only numbers whose length depends on the course of a run (a position, a
port) may differ by a few bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.board import wire
from mpc_core.protocol.context import STAGES, BatchName
from mpc_core.protocol.entries import (
    Acknowledgement,
    Address,
    Announcement,
    Answer,
    Close,
    Contribution,
    Decoded,
    Examined,
    Have,
    KemKey,
    KeySet,
    Root,
    Seal,
    SetupSeal,
)
from mpc_core.protocol.setup import sets_contributed_by, sets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.quorum import Quorum

__all__ = ["COORDINATOR", "Posted", "answer_bytes", "decoder_of", "log_entries", "points_of"]

COORDINATOR = 0
DIGEST = bytes(32)
SIGNATURE = bytes(64)
STRING_BYTES = 32
KEM_KEY_BYTES = 1184 + 32
SEALED_BYTES = 1088 + 32 + 16
"""What HPKE with MLKEM768_X25519 and AES-256-GCM adds to a plaintext."""
CHALLENGE_BITS = 128
LOCAL_HOST = "127.0.0.1"
TYPICAL_PORT = 40_000


@dataclass(frozen=True, slots=True)
class Posted:
    """One entry.

    Attributes:
        stage: "keys", "N", "S", "M", "seal" or "O".
        author: the operator that posts it, or `COORDINATOR` for a statement.
        size: its bytes, signatures included.
    """

    stage: str
    author: int
    size: int


def points_of(batch: BatchLayout, quorum: Quorum) -> int:
    """Return how many share vectors a decoder opens a batch from."""
    return quorum.two_t_plus_one if batch.opening == "double" else quorum.n_minus_t


def decoder_of(batch: BatchLayout, quorum: Quorum) -> int:
    """Return the operator that decodes a batch while nobody is away."""
    return batch.index % quorum.count + 1


def answer_bytes(batch: BatchLayout) -> int:
    """Return the length of an answer to a challenge: ceil(128/d) elements of d words."""
    return -(-CHALLENGE_BITS // batch.degree) * batch.degree * batch.word_bits // 8


def log_entries(layout: CeremonyLayout, quorum: Quorum) -> Iterator[Posted]:
    """Yield every entry of a ceremony in which nobody is late, away or lies."""
    signers = quorum.n_minus_t
    for author in quorum.everyone:
        for entry in _setup_messages(author, quorum):
            yield Posted("keys", author, _size(entry))
    for statement in (Close("contributions/0"), Close("complaints"), SetupSeal(DIGEST)):
        yield Posted("keys", COORDINATOR, _size(statement, signers))
    for stage in STAGES:
        for batch in layout.stage(stage):
            yield from _opening(batch, quorum)
    entries = 4 * quorum.count * len(layout.noise)
    yield Posted("seal", COORDINATOR, _size(Seal(entries, DIGEST), signers))
    for final in (KeySet(DIGEST), Announcement(DIGEST)):
        yield Posted("O", COORDINATOR, _size(final, signers))


def _setup_messages(author: int, quorum: Quorum) -> Iterator[Entry]:
    sets = sets_contributed_by(author, quorum)
    peers = sorted({member for members in sets for member in members} - {author})
    yield Address(0, LOCAL_HOST, TYPICAL_PORT)
    yield KemKey(bytes(KEM_KEY_BYTES))
    yield Contribution(
        0,
        (DIGEST,) * len(sets),
        tuple(
            (peer, bytes(SEALED_BYTES + STRING_BYTES * sum(peer in members for members in sets)))
            for peer in peers
        ),
    )
    yield Examined(0)
    references = len(sets_of(author, quorum)) * len(STAGES)
    yield Acknowledgement(4 * quorum.count, (DIGEST,) * references)


def _opening(batch: BatchLayout, quorum: Quorum) -> Iterator[Posted]:
    """Yield root, voucher and answer of everybody, and the decoder's entry."""
    name = BatchName(batch.stage, batch.index)
    each = (
        Root(name, DIGEST, DIGEST),
        Have(name, DIGEST, DIGEST),
        Answer(name, DIGEST, 0, DIGEST, bytes(answer_bytes(batch))),
    )
    size = sum(_size(entry) for entry in each)
    points = tuple((index, DIGEST) for index in range(1, points_of(batch, quorum) + 1))
    decoded = _size(Decoded(name, DIGEST, 0, points, DIGEST))
    for author in quorum.everyone:
        yield Posted(batch.stage, author, size)
    yield Posted(batch.stage, decoder_of(batch, quorum), decoded)


def _size(entry: Entry, signers: int = 1) -> int:
    parts = (wire.Endorsement(index, wire.ED25519, SIGNATURE) for index in range(1, signers + 1))
    return len(wire.assemble(wire.body_of(entry), parts))
