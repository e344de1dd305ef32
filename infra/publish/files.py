"""Writing the public result: the same inputs give the same bytes, whenever it is written.

Every file appears whole or not at all, and the manifest last: until it is there, the result is
incomplete, and writing it again ends where the first attempt would have. Opened values are linked
rather than copied, key files are streamed: nothing large is ever held in memory as a whole.
"""

from __future__ import annotations

import hashlib
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

from infra.board import export
from infra.files import disk_errors, make_directory, sync_directory, write_atomic
from infra.party.rules import STAGES, layout_of
from infra.plan import write_signed_plan
from infra.publish.manifest import (
    EVIDENCE,
    FOLDERS,
    MANIFEST,
    OPENINGS,
    FileRecord,
    Keeps,
    record_of,
    sign_manifest,
)
from infra.publish.opened import place
from infra.publish.streamed import streamed
from mpc_core.protocol.context import BatchName
from mpc_core.tfhe.export import KeyFile, write_key_set
from mpc_core.tfhe.keyset import bodies_of, seed_of
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.board.notes import Checkpoint
    from infra.plan import SignedPlan
    from infra.publish.opened import Opened
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState

__all__ = [
    "LOG_FILES",
    "PLAN_FILES",
    "batch_keys",
    "evidence_path",
    "fixed_paths",
    "kept_batches",
    "opening_path",
    "publish",
    "rejected_path",
    "rejected_roots",
]

PUBLIC_DIRECTORY = 0o755
PLAN_FILES = ("plan.toml", "plan.sig")
LOG_FILES = tuple(
    f"transcript/{name}"
    for name in (export.ENTRIES_FILE, export.CHECKPOINT_FILE, export.CERTIFICATE_FILE)
)


def publish(
    root: Path,
    signed: SignedPlan,
    key: Ed25519PrivateKey,
    *,
    keeps: Keeps,
    envelopes: Sequence[bytes],
    checkpoint: Checkpoint,
    batches: Iterable[BatchKey],
    opening: Callable[[BatchKey], Opened],
    rejected: Iterable[Opened] = (),
    evidence: Iterable[Opened] = (),
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Write plan, key set and transcript of an announced key set below `root`.

    Args:
        root: the ceremony's folder.
        signed: the signed plan.
        key: the coordinator's identity key, which signs the manifest.
        keeps: which opened values the transcript keeps.
        envelopes: the log, at least what the checkpoint covers.
        checkpoint: one that counts and covers the announcement.
        batches: those whose openings are kept (`kept_batches`).
        opening: returns the opening that holds for a batch.
        rejected: opened values that failed or died (`rejected_roots`), without which nobody can
            see why others followed.
        evidence: what was shown against excluded operators.
        tick: called between files, and while a long one is made.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses, and what `opening` raises.
    """
    for folder in (*(root / name for name in FOLDERS), root / OPENINGS):
        make_directory(folder, PUBLIC_DIRECTORY)
        _sweep(folder)
    with disk_errors(root / MANIFEST):
        (root / MANIFEST).unlink(missing_ok=True)
        sync_directory(root / "transcript")
    write_signed_plan(root, signed)
    records = list(_place_all(root, _named(batches, opening, rejected), tick))
    records += _place_evidence(root, evidence)
    export.write(root / "transcript", signed.plan, envelopes, checkpoint)
    leaf_bytes = signed.plan.layout.leaf_bytes
    records += [record_of(root, root / path, leaf_bytes) for path in (*PLAN_FILES, *LOG_FILES)]
    records += _write_key_set(root, signed.plan, lambda index: opening(("O", index)).data, tick)
    _drop_others(root, {record.path for record in records})
    write_atomic(root / MANIFEST, sign_manifest(signed.plan, keeps, records, key))


def batch_keys(layout: CeremonyLayout) -> tuple[BatchKey, ...]:
    """Return every batch of the layout, stage by stage."""
    return tuple((batch.stage, batch.index) for stage in STAGES for batch in layout.stage(stage))


def kept_batches(
    layout: CeremonyLayout, state: CeremonyState, keeps: Keeps
) -> tuple[BatchKey, ...]:
    """Return the batches whose openings a transcript keeps, in the order of the layout."""
    disputed = state.disputed
    return tuple(
        key for key in batch_keys(layout) if keeps is Keeps.ALL or key[0] == "O" or key in disputed
    )


def opening_path(key: BatchKey) -> str:
    """Return where the opening of a batch lies, relative to the ceremony's folder."""
    return f"{OPENINGS}/{BatchName(*key)}"


def rejected_path(digest: bytes) -> str:
    """Return where an opened value with this root lies that a decoder named and answers refuted."""
    return f"{OPENINGS}/rejected-{digest.hex()}"


def fixed_paths() -> tuple[str, ...]:
    """Return the public files besides manifest and opened values, relative to the folder."""
    return (*PLAN_FILES, *(f"keyset/{file.value}" for file in KeyFile), *LOG_FILES)


def evidence_path(digest: bytes) -> str:
    """Return where evidence with this Merkle root lies."""
    return f"{EVIDENCE}/{digest.hex()}"


def rejected_roots(
    state: CeremonyState, kept: Collection[BatchKey]
) -> tuple[tuple[BatchKey, bytes], ...]:
    """Return batch and root of the opened values of these batches besides those that hold.

    Answers refuted them, or their batch was drawn anew. Not each of them was ever fetched: of a
    round whose answers contradict one another nobody needs the value.
    """
    found = dict.fromkeys(
        (opening.rule.key, turn.decoded.root)
        for opening in state.ever_opened
        if opening.rule.key in kept
        for turn in opening.rounds
        if turn.decoded is not None
    )
    return tuple((key, root) for key, root in found if root != _holding(state, key))


def _holding(state: CeremonyState, key: BatchKey) -> bytes | None:
    opening = state.opening(key)
    return None if opening is None else opening.v_root


def _named(
    batches: Iterable[BatchKey],
    opening: Callable[[BatchKey], Opened],
    rejected: Iterable[Opened],
) -> Iterator[tuple[str, Opened]]:
    """Yield opened values one by one, so that none is in memory longer than it is looked at."""
    for key in batches:
        yield opening_path(key), opening(key)
    for value in rejected:
        yield rejected_path(value.root), value


def _place_all(
    root: Path, values: Iterator[tuple[str, Opened]], tick: Callable[[], None]
) -> Iterator[FileRecord]:
    tick()
    for path, value in values:
        place(value, root / path)
        tick()
        yield FileRecord(path, len(value.data), value.root)


def _place_evidence(root: Path, evidence: Iterable[Opened]) -> list[FileRecord]:
    """Write evidence; the folder is there only if something is in it."""
    folder, records = root / EVIDENCE, []
    with disk_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
    for shown in evidence:
        make_directory(folder, PUBLIC_DIRECTORY)
        path = root / evidence_path(shown.root)
        place(shown, path)
        records.append(FileRecord(evidence_path(shown.root), len(shown.data), _sha256(shown.data)))
    return records


def _sha256(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).digest()


def _write_key_set(
    root: Path,
    plan: Plan,
    opening: Callable[[int], bytes | memoryview],
    tick: Callable[[], None],
) -> list[FileRecord]:
    def looked_at(index: int) -> bytes | memoryview:
        tick()
        return opening(index)

    parameters, tag = lookup(plan.parameters), bytes.fromhex(plan.ceremony_id)
    seed, bodies = seed_of(opening(0)), bodies_of(parameters, layout_of(plan), looked_at)
    paths = {file: f"keyset/{file.value}" for file in KeyFile}
    with ExitStack() as stack:
        files = {file: stack.enter_context(streamed(root / paths[file], tick)) for file in KeyFile}
        writes = {file: written.write for file, written in files.items()}
        write_key_set(parameters, seed, tag, bodies, writes)
    return [FileRecord(paths[file], made.size, made.sha256) for file, made in files.items()]


def _drop_others(root: Path, published: set[str]) -> None:
    """Remove opened values of an earlier attempt that kept more than this one does."""
    with disk_errors(root / OPENINGS):
        for path in (root / OPENINGS).iterdir():
            if path.relative_to(root).as_posix() not in published:
                path.unlink()


def _sweep(folder: Path) -> None:
    """Remove what a process that was killed while writing left behind."""
    with disk_errors(folder):
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink()
