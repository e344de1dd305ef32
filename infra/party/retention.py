"""What an operator's home may destroy after its ceremony, and when (`[retention]` of the plan).

Nothing goes before the end: until then others may need any of it. What follows is counted in days
from the end, which the first sweep notes, as the last write to the copy of the log; so a home whose
log has gone still knows. The plan and its signatures are public and stay.

Security: this is about what an honest operator keeps. What a disk, a bucket with object lock or a
    backup keeps longer is for its owner to end; sealed objects end with their key.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from infra.enclave.kms.leaving import KEPT
from infra.enclave.kms.vault import WRAPPED_KEY
from infra.evidence.source import open_source
from infra.files import PUBLIC_FILE, disk_errors, write_atomic
from infra.homes import LOCK_FILE
from infra.report.disk import disk_bytes
from infra.stores import FileStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.homes import Home
    from infra.plan.sections import RetentionSection

__all__ = ["ABORTED", "ANNOUNCED", "Artefact", "End", "Fate", "ending_of", "sweep"]

ANNOUNCED, ABORTED = "announced", "aborted"
EVIDENCE, LOG, VAULT = "evidence", "log", "vault"
END_FILE = "end.json"


class Fate(StrEnum):
    """What becomes of an artefact."""

    KEPT = "kept"
    DESTROYED = "destroyed"
    DUE = "due"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class End:
    """How and when a ceremony ended, as this home saw it.

    Attributes:
        how: `ANNOUNCED` or `ABORTED`.
        at: when, by the clock of this machine.
    """

    how: str
    at: dt.datetime

    @classmethod
    def noted_in(cls, home: Home) -> Self | None:
        """Return what an earlier sweep noted."""
        try:
            found = json.loads((home.path / END_FILE).read_bytes())
        except FileNotFoundError:
            return None
        return cls(found["how"], dt.datetime.fromisoformat(found["at"]))

    def note(self, home: Home) -> None:
        """Keep it for the next sweep.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
        """
        data = json.dumps({"how": self.how, "at": self.at.isoformat()}).encode()
        write_atomic(home.path / END_FILE, data, PUBLIC_FILE)


@dataclass(frozen=True, slots=True)
class Artefact:
    """Something in a home, and what became of it.

    Attributes:
        name: for people.
        size: bytes on the disk, before.
        fate: what became of it.
        until: the day from which it may go, None if there is none.
        why: the reason.
    """

    name: str
    size: int
    fate: Fate
    until: dt.date | None
    why: str


def ending_of(home: Home) -> End | None:
    """Return how the ceremony of a home ended, None if it has not.

    Raises:
        CeremonyError: RF-EVIDENCE-003 if there is no log, or what is wrong with it.
    """
    noted = End.noted_in(home)
    if noted is not None:
        return noted
    state = open_source(home.path).state
    if state.decisions.abort is not None:
        how = ABORTED
    elif state.release.announcement is not None:
        how = ANNOUNCED
    else:
        return None
    with disk_errors(home.log_copy):
        written = home.log_copy.stat().st_mtime
    return End(how, dt.datetime.fromtimestamp(written, dt.UTC))


def sweep(
    home: Home, limits: RetentionSection | None, end: End | None, now: dt.datetime, *, act: bool
) -> tuple[Artefact, ...]:
    """Destroy what the plan's days are over for, and say what became of everything.

    Args:
        home: an operator's, in which no process works.
        limits: of the plan; None if it says nothing.
        end: of the ceremony; None if it goes on.
        now: the time by this machine's clock.
        act: whether to destroy anything.

    Raises:
        CeremonyError: RF-DISK-* if the disk refuses; the same command goes on.
    """
    if end is not None and act:
        end.note(home)
    return tuple(_swept(home, each, end, now, act=act) for each in _rules(home, limits, end))


@dataclass(frozen=True, slots=True)
class _Rule:
    """How long something is kept: days after the end, None for as long as its owner likes."""

    name: str
    paths: tuple[Path, ...]
    days: int | None
    why: str


def _rules(home: Home, limits: RetentionSection | None, end: End | None) -> Iterator[_Rule]:
    log = home.log_copy
    rest = tuple(each for each in _in(home.work) if each != log and each.name != LOCK_FILE)
    vault = tuple(each for each in _in(home.vault) if each.name not in KEPT)
    if end is None or limits is None:
        why = "the ceremony has not ended" if end is None else "the plan says nothing"
        for name, paths in ((EVIDENCE, rest), (LOG, (log,)), (VAULT, vault)):
            yield _Rule(name, paths, None, why)
        return
    asked = "others may ask what a statement rested on"
    yield _Rule(EVIDENCE, rest, limits.evidence_days, asked)
    yield _Rule(LOG, (log,), limits.transcript_days, "what was signed can be checked")
    if end.how == ABORTED:
        looked = "the abort may be looked into"
        yield _Rule(VAULT, vault, limits.vault_days_after_abort, looked)
    else:
        share = "it holds the share of the key: `ringforge operator leave` destroys it"
        yield _Rule(VAULT, vault, None, share)


def _swept(home: Home, rule: _Rule, end: End | None, now: dt.datetime, *, act: bool) -> Artefact:
    days = None if rule.days is None or end is None else dt.timedelta(days=rule.days)
    until = None if days is None or end is None else end.at + days
    fate, why = Fate.KEPT, rule.why
    if not any(path.exists() for path in rule.paths):
        fate, why = Fate.GONE, "there is none here; what a bucket holds ends with its key"
    elif until is not None and now >= until:
        fate, why = Fate.DESTROYED, "the days that the plan says are over"
        if rule.name == VAULT and (home.vault / WRAPPED_KEY).exists():
            fate, why = Fate.DUE, "it is sealed: `ringforge operator leave` destroys its key"
    size = sum(_bytes_of(path) for path in rule.paths)
    if fate is Fate.DESTROYED and act:
        _destroy(home, rule)
    return Artefact(rule.name, size, fate, None if until is None else until.date(), why)


def _destroy(home: Home, rule: _Rule) -> None:
    """Remove; what lay open in a vault is overwritten first."""
    for path in rule.paths:
        if rule.name == VAULT:
            store = FileStore(home.vault)
            for file in [path, *path.rglob("*")]:
                if file.is_file():
                    store.remove(file.relative_to(home.vault).as_posix())
        with disk_errors(path):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _bytes_of(path: Path) -> int:
    return disk_bytes(path) if path.is_dir() else path.stat().st_size if path.exists() else 0


def _in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
