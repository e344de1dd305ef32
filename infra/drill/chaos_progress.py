"""How far a drill has come, so that one that was stopped goes on with the next ceremony."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from infra.drill.chaos_reference import References
from infra.drill.chaos_run import Happened
from infra.drill.chaos_schedule import Disturbance, Kind
from infra.files import make_directory, write_atomic

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["UNDISTURBED", "Progress"]

UNDISTURBED = "undisturbed"
"""Folder of the ceremony that nobody disturbs."""

_FILE = "drill.json"


@dataclass(slots=True)
class Progress:
    """What is known of a drill after every ceremony that ended well.

    Attributes:
        directory: where its ceremonies are.
        asked: what a person asked for, as far as results of two drills that differ in it are none
            of one drill.
        next_seed: of the ceremony that comes next.
        happened: all disturbances so far.
        ended: processes that ended by themselves, with the reason.
        lost: operators that stayed away with a damaged vault.
        ceremonies: number of disturbed ceremonies, all of which ended well.
        compared: how many of them had the contributors of an earlier one, and its key set.
        references: the key sets so far.
    """

    directory: Path
    asked: dict[str, int | None]
    next_seed: int
    happened: list[Happened] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    lost: int = 0
    ceremonies: int = 0
    compared: int = 0
    references: References = field(default_factory=References)

    @classmethod
    def begin(cls, directory: Path, asked: dict[str, int | None], seed: int) -> Progress:
        """Take up the drill that was stopped in a folder, or begin one.

        What the ceremony that was stopped has left is removed. Nothing is where this drill was not.
        """
        make_directory(directory)
        found = cls(directory, asked, seed)
        try:
            kept = json.loads((directory / _FILE).read_bytes())
        except FileNotFoundError:
            kept = None
        if kept is not None and kept["asked"] == asked:
            found._take_up(kept)
        found.write()
        return found

    def _take_up(self, kept: dict[str, Any]) -> None:
        for name in ("next_seed", "ended", "lost", "ceremonies", "compared"):
            setattr(self, name, kept[name])
        self.happened = [_happened(**each) for each in kept["happened"]]
        self.references = References.decode(kept["references"])
        for name in (UNDISTURBED, f"seed-{self.next_seed}"):
            shutil.rmtree(self.directory / name, ignore_errors=True)

    def write(self) -> None:
        """Keep it, durably."""
        content = {
            "asked": self.asked,
            "next_seed": self.next_seed,
            "happened": [asdict(each) | {"waiting_for": []} for each in self.happened],
            "ended": self.ended,
            "lost": self.lost,
            "ceremonies": self.ceremonies,
            "compared": self.compared,
            "references": self.references.encode(),
        }
        write_atomic(self.directory / _FILE, json.dumps(content).encode())

    def forget(self) -> None:
        """Remove what was kept: the drill is at its end, or has found something to look at."""
        (self.directory / _FILE).unlink(missing_ok=True)


def _happened(disturbance: dict[str, Any], waiting_for: list[str], **rest: Any) -> Happened:
    del waiting_for  # of a disturbance that is over nothing is awaited
    kind, victims = Kind(disturbance["kind"]), tuple(disturbance["victims"])
    return Happened(Disturbance(**disturbance | {"kind": kind, "victims": victims}), **rest)
