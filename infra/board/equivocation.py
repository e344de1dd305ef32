"""Evidence that an operator signed two heads of one epoch of which neither extends the other.

The evidence holds both signed notes and, where the sizes differ, proves that the log of the longer
head begins with other entries than the shorter head says: the root over its first entries, with an
RFC 6962 consistency proof. Whoever has the plan can check it. Heads of different length that were
shown to different operators are no evidence as long as one extends the other.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.board import strict
from infra.board.notes import Head, HeadSignature, read_head, write_head
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import MerkleTree, verify_consistency

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.board.replica import Replica
    from mpc_core.protocol.plan import Plan

__all__ = ["Equivocation", "HeadWatch", "check_equivocation", "read_equivocation"]

_STRANGERS_KEPT = 8


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Two heads that one operator signed.

    Attributes:
        plan_hash: hash of the plan.
        shorter: signed note of the head over fewer entries.
        longer: signed note of the other one.
        prefix_root: root over as many entries of the longer log as the shorter head covers.
        proof: that the longer log begins so; empty where the sizes are equal.
    """

    plan_hash: bytes
    shorter: str
    longer: str
    prefix_root: bytes
    proof: tuple[bytes, ...]


def check_equivocation(plan: Plan, evidence: Equivocation) -> int:
    """Return the index of the operator whom this evidence convicts.

    Raises:
        CeremonyError: RF-LOG-036 if it convicts nobody, RF-LOG-015 if a note is malformed.

    Security: an honest operator signs, in one epoch, only heads of which one extends the other, so
        nobody can make evidence against it without breaking a signature or the hash.
    """
    shorter, one = read_head(plan, evidence.shorter)
    longer, other = read_head(plan, evidence.longer)
    begins_so = verify_consistency(
        shorter.size, longer.size, evidence.prefix_root, longer.root, evidence.proof
    )
    if (
        evidence.plan_hash != plan.hash
        or one.signer != other.signer
        or shorter.epoch != longer.epoch
        or not begins_so
        or shorter.root == evidence.prefix_root
    ):
        raise CeremonyError(
            "RF-LOG-036",
            "this is no evidence that an operator signed two histories of the log",
            expected="two heads of one epoch, signed by one operator, of which neither extends "
            "the other",
            found=f"heads over {shorter.size} and {longer.size} entries of epochs "
            f"{shorter.epoch} and {longer.epoch}",
            effect="it accuses nobody",
            runbook="forked-log",
        )
    return one.signer


def read_equivocation(data: bytes) -> Equivocation:
    """Return the evidence in the bytes of a file.

    Raises:
        CeremonyError: RF-LOG-036 if they are none.
    """
    try:
        return strict.decode(Equivocation, data)
    except strict.Malformed as error:
        raise CeremonyError(
            "RF-LOG-036",
            "the file is no evidence that an operator signed two histories of the log",
            expected="two signed notes and a consistency proof",
            found=str(error),
            effect="it accuses nobody",
            runbook="forked-log",
        ) from error


class HeadWatch:
    """Looks at signed heads as they come by, and keeps evidence where two contradict each other.

    Of each operator and epoch it remembers the newest head of the log held here, and a few that
    are not, or not yet: only those can be part of a contradiction.
    """

    def __init__(self, replica: Replica, keep: Callable[[int, Equivocation], None]) -> None:
        """Begin to watch.

        Args:
            replica: the verified copy of the log, with which heads are compared.
            keep: takes evidence against an operator, once for each epoch.
        """
        self._replica = replica
        self._keep = keep
        self._lock = threading.Lock()
        self._seen: dict[tuple[int, int], dict[Head, HeadSignature]] = {}
        self._convicted: set[tuple[int, int]] = set()

    def saw(self, head: Head, part: HeadSignature) -> None:
        """Look at a head under an operator's signature, which is valid."""
        with self._lock:
            seen = self._seen.setdefault((part.signer, head.epoch), {})
            seen.setdefault(head, part)
            ours = sorted((each for each in seen if self._is_ours(each)), key=_size)
            for old in ours[:-1]:
                del seen[old]
            strangers = sorted((each for each in seen if each not in ours), key=_size)
            for stranger in strangers:
                for other in tuple(seen):
                    self._compare(seen, *sorted((stranger, other), key=_size))
            for least in strangers[: max(0, len(strangers) - _STRANGERS_KEPT)]:
                del seen[least]

    def _is_ours(self, head: Head) -> bool:
        held = self._replica.held_entries(head.size - 1, head.size) if head.size else ()
        return bool(held) and held[0].prefix_root == head.root

    def _compare(self, seen: dict[Head, HeadSignature], shorter: Head, longer: Head) -> None:
        signer = seen[shorter].signer
        if shorter == longer or (signer, longer.epoch) in self._convicted:
            return
        found = self._prefix(shorter.size, longer)
        if found is None or found[0] == shorter.root:
            return
        plan = self._replica.plan
        self._convicted.add((signer, longer.epoch))
        one, other = (write_head(plan, each, seen[each]) for each in (shorter, longer))
        self._keep(signer, Equivocation(plan.hash, one, other, *found))

    def _prefix(self, size: int, longer: Head) -> tuple[bytes, tuple[bytes, ...]] | None:
        """Return the root over the first entries of the longer log, and the proof; None if unknown.

        Only the log held here can be looked into.
        """
        if size == longer.size:
            return longer.root, ()
        if not size or not self._is_ours(longer):
            return None
        entries = self._replica.held_entries(0, longer.size)
        tree = MerkleTree(entry.leaf_hash for entry in entries)
        return tree.root(size), tree.consistency(size, longer.size)


def _size(head: Head) -> int:
    return head.size
