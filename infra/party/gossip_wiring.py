"""How an operator's log, witness and pool hang together with its gossip."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import structlog

from infra.board import strict
from infra.board.equivocation import Equivocation, HeadWatch
from infra.board.moves import Opening, verify_opening
from infra.board.notes import head_text, signature_is_valid
from infra.files import make_directory, write_atomic
from infra.party.gossip import Gossiper
from mpc_core.protocol.entries import STATEMENTS
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from pathlib import Path

    from infra.board.client import WitnessLoop
    from infra.board.notes import Checkpoint, Head
    from infra.board.witness import Witness
    from infra.homes import Home
    from infra.party.gossip_pool import EntryPool
    from infra.party.log import PartyLog
    from infra.transport.client import PeerClient

__all__ = ["gossiper_of"]

_log = structlog.get_logger()


def gossiper_of(
    home: Home,
    client: PeerClient,
    log: PartyLog,
    *,
    loop: WitnessLoop,
    witness: Witness,
    pool: EntryPool,
) -> Gossiper:
    """Return an operator's gossip, with everything that follows from it in place.

    Args:
        home: where evidence and the opening of the epoch are kept.
        client: the connections of the process.
        log: the operator's log.
        loop: follows the host.
        witness: signs heads.
        pool: keeps entries that the log does not cover yet.
    """
    replica, plan = witness.replica, witness.replica.plan
    evidence = make_directory(home.work / "evidence")
    watch = HeadWatch(replica, lambda signer, found: _keep(evidence, plan.name_of(signer), found))
    gossiper = Gossiper(client, log, loop=loop, witness=witness, pool=pool, watch=watch)
    kept = home.work / "opening"

    def objection(head: Head) -> str:
        return pool.objection(replica.held_entries(replica.covered_size, head.size))

    def entered(opening: Opening, dropped: tuple[bytes, ...]) -> None:
        write_atomic(kept, strict.encode(opening))
        pool.moved()
        pool.receive(witness.index, [data for data in dropped if not _is_statement(log, data)])

    def contradicted(checkpoint: Checkpoint) -> None:
        known = (replica.checkpoint, witness.state.certified, checkpoint)
        for found in (each for each in known if each is not None):
            text = head_text(plan.ceremony_id, found.head)
            for part in found.head_signatures:
                if signature_is_valid(plan, text, part):
                    watch.saw(found.head, part)

    log.spread = gossiper.spread
    witness.objection = objection
    loop.opening = _kept_opening(kept, witness)
    loop.entered = entered
    loop.contradicted = contradicted
    return gossiper


def _kept_opening(path: Path, witness: Witness) -> Opening | None:
    """Return what opened the current epoch, if an earlier run of this process kept it."""
    try:
        opening = strict.decode(Opening, path.read_bytes())
        verify_opening(witness.replica.plan, opening)
    except (FileNotFoundError, strict.Malformed, CeremonyError):
        return None  # who needs it gets it from the host, or from another operator
    return opening if opening.epoch == witness.epoch else None


def _is_statement(log: PartyLog, data: bytes) -> bool:
    """Tell whether an entry is a statement: those are drawn up anew under a new host."""
    return isinstance(log.opened(data)[0], STATEMENTS)


def _keep(folder: Path, name: str, found: Equivocation) -> None:
    """Keep evidence against an operator in a file that anybody can check."""
    data = strict.encode(found)
    digest = hashlib.sha256(data).hexdigest()[:16]
    write_atomic(folder / f"equivocation-{name}-{digest}.cbor", data)
    _log.error("two contradicting heads are signed by one operator", operator=name)
