"""What a disturbed ceremony must end with: the verdict and the key set of an undisturbed one.

A key set follows from the setup seed, from who contributed to the key setup in time, and from the
batches that were burnt. An operator that is down when contributions are due changes the key, and
may; so the key sets of all ceremonies with the same contributors are compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from infra.board import export
from infra.plan import load_signed_plan
from infra.verify import Outcome, verify
from mpc_core.protocol.entries import (
    Blame,
    Close,
    Complaint,
    Contribution,
    Correction,
    SetupSeal,
    WriteOff,
)
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.homes import CeremonyFolder
    from mpc_core.protocol.entries import LogEntry

__all__ = ["References"]

Setup: TypeAlias = tuple[tuple[object, ...], ...]
"""What the log says about a key setup: rounds with contributors, complaints, closes, burns."""


class References:
    """The key sets seen so far, by the setups that they follow from."""

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[Setup, dict[str, bytes]] = {}
        self.compared = 0

    def check(self, folder: CeremonyFolder, replay: str) -> None:
        """Compare a finished ceremony with those before it.

        Args:
            folder: its folder.
            replay: how a person runs it again.

        Raises:
            CeremonyError: RF-DRILL-002 if something differs.
        """
        verdict = verify(folder.root)
        if verdict.outcome is not Outcome.OK:
            wrong = "; ".join(str(error) for error in verdict.errors)
            raise _differs(folder, "nothing wrong, as of the others", wrong, replay)
        entries = export.read(folder.transcript, load_signed_plan(folder.root).plan).entries
        if any(isinstance(each.entry, (Blame, Correction)) for each in entries):
            return  # a burnt batch is made anew, with other masks
        setup, files = _setup_of(entries), _key_files(folder)
        if setup in self._known:
            self.compared += 1
        if self._known.setdefault(setup, files) != files:
            wanted = "the key set of the ceremonies with the same contributors"
            raise _differs(folder, wanted, "another one", replay)


def _setup_of(entries: Sequence[LogEntry]) -> Setup:
    """Return what determines the keys, besides the seed."""
    facts: list[tuple[object, ...]] = []
    open_round = 0
    for each in entries:
        match each.entry:
            case SetupSeal():
                break
            case Contribution(round=number) if number == open_round:
                facts.append(("contribution", number, each.signers))
            case Close(slot=slot) if slot == f"contributions/{open_round}":
                open_round += 1
            case Complaint(contributor=contributor):
                facts.append(("complaint", contributor))
            case WriteOff(operator=operator):
                facts.append(("write-off", operator))
    return tuple(sorted(facts, key=repr))


def _key_files(folder: CeremonyFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.keyset.iterdir()}


def _differs(folder: CeremonyFolder, expected: str, found: str, replay: str) -> CeremonyError:
    return CeremonyError(
        "RF-DRILL-002",
        "a disturbed ceremony did not end like the others",
        expected=expected,
        found=found,
        effect=f"the drill ends; its folder is kept: {folder.root}",
        next_step=f"read the process logs there; {replay}",
        runbook="drills",
    )
