"""What a disturbed ceremony must end with: the verdict and the key set of an undisturbed one.

A key set follows from the setup seed, from who contributed to the key setup in time, and from the
batches that were burnt. An operator that is down when contributions are due changes the key, and
may; so the key sets of all ceremonies with the same contributors are compared.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

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


class References:
    """The key sets seen so far, by the setups that they follow from."""

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[str, dict[str, str]] = {}

    @classmethod
    def decode(cls, kept: dict[str, dict[str, str]]) -> References:
        """Return what `encode` wrote."""
        found = cls()
        found._known = kept
        return found

    def encode(self) -> dict[str, dict[str, str]]:
        """Return what is known, in terms of JSON."""
        return self._known

    def check(self, folder: CeremonyFolder, replay: str) -> bool:
        """Compare a finished ceremony with those before it.

        Args:
            folder: its folder.
            replay: how a person runs it again.

        Returns:
            Whether there was one before with the same contributors; and then the same key set.

        Raises:
            CeremonyError: RF-DRILL-002 if something differs.
        """
        verdict = verify(folder.root)
        if verdict.outcome is not Outcome.OK:
            wrong = "; ".join(str(error) for error in verdict.errors)
            raise _differs(folder, "nothing wrong, as of the others", wrong, replay)
        entries = export.read(folder.transcript, load_signed_plan(folder.root).plan).entries
        if any(isinstance(each.entry, (Blame, Correction)) for each in entries):
            return False  # a burnt batch is made anew, with other masks
        setup, files = _setup_of(entries), _key_files(folder)
        is_known = setup in self._known
        if self._known.setdefault(setup, files) != files:
            wanted = "the key set of the ceremonies with the same contributors"
            raise _differs(folder, wanted, "another one", replay)
        return is_known


def _setup_of(entries: Sequence[LogEntry]) -> str:
    """Return what determines the keys, besides the seed: contributors, complaints, write-offs."""
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
    return repr(sorted(facts, key=repr))


def _key_files(folder: CeremonyFolder) -> dict[str, str]:
    """Return the digests of the files of a key set, by name."""
    files = {path.name: path.read_bytes() for path in folder.keyset.iterdir()}
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


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
