"""What the log says about decryptions: who was granted which floods, and what came out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.work.phases import decode_phases
from infra.board.copy import MemoryCopy
from infra.board.log import BoardLog
from infra.board.replica import Replica
from infra.party.rules import layout_of, past_state
from infra.stores import BlobStore
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox
from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.homes import CeremonyFolder, Home
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState
    from mpc_core.tfhe.ciphertexts import CompactList

__all__ = ["Record", "host_of", "outbox_of", "record_of"]


@dataclass(frozen=True, slots=True)
class Record:
    """The log of a ceremony, folded, and the opened values that are here.

    Attributes:
        plan: the signed plan.
        layout: its layout.
        state: what the covered log folds into.
        read: returns the opened value with this Merkle root, None if it is not here.
    """

    plan: Plan
    layout: CeremonyLayout
    state: CeremonyState
    read: Callable[[bytes], memoryview | None]

    @property
    def openings_left(self) -> int:
        """How many ciphertexts may still be decrypted."""
        return self.state.release.openings_left

    def check_grants(self, root: bytes, openings: int) -> None:
        """Check that a list may be decrypted: it was granted its floods, or there are enough left.

        Args:
            root: Merkle root of the list.
            openings: number of its ciphertexts.

        Raises:
            CeremonyError: RF-RUN-030 if the key set is not announced, RF-RUN-031 if the plan does
                not grant so many openings.
        """
        release = self.state.release
        if release.announcement is None:
            raise unfinished("no announcement on the log")
        if release.request_of(root) is None and openings > release.openings_left:
            raise CeremonyError(
                "RF-RUN-031",
                "the plan does not grant so many test openings",
                expected=f"at most {release.openings_left} ciphertexts: the plan grants "
                f"{self.plan.tests.decrypt_openings}, used are {release.openings_used}",
                found=f"a list of {openings}",
                effect="nothing was opened; every opening takes a fresh flood from the key set's "
                "own preprocessing, and there are no others",
                next_step="decrypt a shorter list, or run another sandbox",
                runbook="start",
            )

    def values(self, root: bytes, ciphertexts: CompactList) -> tuple[int | bool, ...] | None:
        """Return what a list was decrypted to, None if its phases are not opened or not here.

        Args:
            root: Merkle root of the list.
            ciphertexts: the list.

        Raises:
            CeremonyError: RF-TFHE-003 if the phases are no values: made under another key.
        """
        request = self.state.release.request_of(root)
        if request is None:
            return None
        batch = self.layout.decryption(request.serial, request.first_flood, request.openings)
        opening = self.state.opening((batch.stage, batch.index))
        value = self.read(opening.v_root) if opening and opening.v_root else None
        if value is None:
            return None
        return decode_phases(self.plan, lookup(self.plan.parameters), batch, value, [ciphertexts])


def outbox_of(home: Home, plan: Plan) -> BlobStore:
    """Return the blobs in the outbox of a party that does not run."""
    return BlobStore(Outbox(home.outbox, SentLedger(home.sent_file)), plan.layout.leaf_bytes)


def record_of(home: Home, plan: Plan) -> Record:
    """Read the record from the home of a coordinator that does not run.

    Raises:
        CeremonyError: RF-LOG-* if its log is damaged.
    """
    layout, blobs = layout_of(plan), outbox_of(home, plan)
    state = past_state(home, plan, layout, _covered_log(home, plan).entries())
    return Record(plan, layout, state, blobs.read_if_here)


def host_of(folder: CeremonyFolder, plan: Plan) -> Home:
    """Return the home of the party that hosts the log: the last one that took it over.

    Raises:
        CeremonyError: RF-LOG-* if a log is damaged.
    """
    homes = [folder.host(name) for name in plan.hosts]
    there = [home for home in homes if home.board_file.exists()]
    return max(there, key=lambda home: _epoch(home, plan), default=folder.coordinator)


def _epoch(home: Home, plan: Plan) -> int:
    checkpoint = _covered_log(home, plan).checkpoint
    return -1 if checkpoint is None else checkpoint.head.epoch


def unfinished(found: str) -> CeremonyError:
    """Return the error for a ceremony whose key set is not announced and published."""
    return CeremonyError(
        "RF-RUN-030",
        "the ceremony has no key set to decrypt with yet",
        expected="a finished ceremony",
        found=found,
        effect="nothing was started",
        next_step="finish it: ringforge sandbox with --id and --resume",
        runbook="resume",
    )


def _covered_log(home: Home, plan: Plan) -> Replica:
    replica = Replica(plan, MemoryCopy())
    board = BoardLog.open(home.board, plan)
    try:
        checkpoint = board.checkpoint()
        if checkpoint is not None:
            replica.receive(0, board.entries(0, checkpoint.head.size))
            replica.cover(checkpoint)
    finally:
        board.close()
    return replica
