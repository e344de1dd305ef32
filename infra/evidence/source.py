"""Where the accusations of a ceremony are read: a published folder, or the home of an operator.

A home is only read, so that it may be the one of an operator that runs: its copy of the log as far
as a co-signed checkpoint covers it, and the blobs in its outbox.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.board import export, notes
from infra.board.copy import MemoryCopy, stored_in
from infra.board.replica import Replica
from infra.files import disk_errors
from infra.homes import Home
from infra.party.kernels import load_kernels
from infra.party.rules import layout_of, past_state
from infra.plan.signing import load_signed_plan
from infra.publish.manifest import EVIDENCE
from infra.verify import ceremony, evidence, log, openings
from infra.verify.evidence import Rules
from infra.verify.progress import Progress
from infra.verify.survey import survey
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import MerkleTree, leaf_hash
from mpc_core.ring.exact import degree_for
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from infra.board.copy import Stored
    from infra.board.notes import Checkpoint
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Source", "open_source"]


@dataclass(frozen=True, slots=True)
class Source:
    """A ceremony as far as it is known here.

    Attributes:
        rules: what the signed plan fixes.
        plan: bytes of plan.toml and plan.sig.
        state: the log, folded.
        envelopes: the signed bytes of its entries.
        checkpoint: one that counts and covers them.
        folders: those in which blobs lie under their roots.
        heads: files of contradicting heads.
        files: where other opened values lie, by root.
    """

    rules: Rules
    plan: tuple[bytes, bytes]
    state: CeremonyState
    envelopes: tuple[bytes, ...]
    checkpoint: Checkpoint
    folders: tuple[Path, ...]
    heads: tuple[Path, ...] = ()
    files: dict[bytes, Path] = field(default_factory=dict)

    def blob(self, root: bytes) -> bytes | None:
        """Return the bytes with this Merkle root, None if they are not here."""
        known = [self.files[root]] if root in self.files else []
        for path in (*known, *(folder / root.hex() for folder in self.folders)):
            if path.is_file():
                with disk_errors(path):
                    return path.read_bytes()
        return None

    def notes(self) -> tuple[str, str]:
        """Return the checkpoint as its two signed notes: head and certificate."""
        plan = self.rules.plan
        return (
            notes.write_checkpoint(plan, self.checkpoint),
            notes.write_certificate(plan, self.checkpoint),
        )

    def tree(self) -> MerkleTree:
        """Return the tree of the log."""
        return MerkleTree(leaf_hash(data) for data in self.envelopes)


def open_source(folder: Path) -> Source:
    """Read a ceremony's folder or an operator's home.

    Raises:
        CeremonyError: RF-EVIDENCE-003 if it is neither; otherwise what is wrong with its files.
    """
    if (folder / "transcript" / export.ENTRIES_FILE).is_file():
        return _published(folder)
    if Home(folder).log_copy.is_file():
        return _home(Home(folder.resolve()))
    raise CeremonyError(
        "RF-EVIDENCE-003",
        "there is no log to look for evidence in",
        expected="a folder with transcript/, or the home of an operator",
        found=str(folder),
        effect="nothing was read",
        next_step="name the folder of a finished ceremony, or an operator's home",
        runbook="infractions",
    )


class _ReadOnly(MemoryCopy):
    """The records of a copy that somebody else may be writing to."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def load(self) -> Stored:
        """Return them."""
        return self._stored


def _heads(found: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(sorted(found))


def _published(folder: Path) -> Source:
    """Read a finished ceremony as a verification does."""
    files = evidence.Evidence(folder, {})
    evidence.read_manifest(files)
    rules, _ = evidence.read_plan(files, None)
    entries, _ = log.read_log(files, rules)
    log.check_checkpoint(files, rules, entries)
    found = survey(files, None, rules, entries, Progress(lambda _: None))
    values, _ = openings.read_openings(files, rules, entries, found)
    state, _ = ceremony.fold(rules, entries, values)
    transcript = folder / "transcript"
    certified = notes.read_checkpoint(rules.plan, (transcript / export.CHECKPOINT_FILE).read_text())
    return Source(
        rules,
        (files.read("plan.toml"), files.read("plan.sig")),
        state,
        export.parse_entries(files.read(f"transcript/{export.ENTRIES_FILE}")),
        notes.read_certificate(
            rules.plan, certified, (transcript / export.CERTIFICATE_FILE).read_text()
        ),
        (folder / EVIDENCE,),
        _heads(folder.glob("operators/*/work/evidence/equivocation-*.cbor")),
        {root: folder / value.record.path for root, value in values.found.items()},
    )


def _home(home: Home) -> Source:
    """Read the home of an operator, which may run."""
    signed = load_signed_plan(home.path)
    plan = signed.plan
    load_kernels(degree_for(plan.count))
    rules = Rules(plan, layout_of(plan), lookup(plan.parameters))
    with disk_errors(home.log_copy):
        stored = stored_in(home.log_copy.read_bytes())
    replica = Replica(plan, _ReadOnly(stored))
    state = past_state(home, plan, rules.layout, replica.entries())
    checkpoint = replica.checkpoint
    if checkpoint is None:
        raise CeremonyError(
            "RF-EVIDENCE-003",
            "nothing of this operator's log is under a co-signed checkpoint yet",
            expected="a checkpoint that counts",
            found="none",
            effect="nothing was read",
            next_step="ask again once the ceremony has begun",
            runbook="infractions",
        )
    return Source(
        rules,
        (signed.toml, signed.signatures),
        state,
        replica.envelopes(0, checkpoint.head.size),
        checkpoint,
        tuple(path for path in sorted(home.outbox.glob("*")) if path.is_dir()),
        _heads(home.work.glob("evidence/equivocation-*.cbor")),
    )
