"""Writing the public result: the same inputs give the same bytes, whenever it is written.

Every file appears whole or not at all, and the manifest last: until it is there, the result is
incomplete, and writing it again ends where the first attempt would have. The key files are
streamed; none of them is ever held in memory as a whole.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from infra.board import export
from infra.files import (
    PUBLIC_FILE,
    disk_errors,
    make_directory,
    replace_durably,
    sync_directory,
    write_atomic,
)
from infra.party.rules import STAGES, layout_of
from infra.plan import write_signed_plan
from infra.publish.manifest import FOLDERS, MANIFEST, record_of, sign_manifest
from mpc_core.protocol.batch import Verdict
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.merkle import chunk_root
from mpc_core.tfhe.export import KeyFile, write_key_file
from mpc_core.tfhe.keyset import bodies_of, seed_of
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.board.notes import Checkpoint
    from infra.plan import SignedPlan
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState

__all__ = [
    "LOG_FILES",
    "PLAN_FILES",
    "batch_keys",
    "opening_path",
    "public_paths",
    "publish",
    "rejected_path",
    "rejected_roots",
]

PUBLIC_DIRECTORY = 0o755
OPENINGS = "transcript/openings"
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
    envelopes: Sequence[bytes],
    checkpoint: Checkpoint,
    opening: Callable[[BatchKey], bytes],
    rejected: Iterable[bytes] = (),
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Write plan, key set and transcript of an announced key set below `root`.

    Args:
        root: the ceremony's folder.
        signed: the signed plan.
        key: the coordinator's identity key, which signs the manifest.
        envelopes: the log, at least what the checkpoint covers.
        checkpoint: one that counts and covers the announcement.
        opening: returns the canonical opening that holds for a batch.
        rejected: opened values of rounds that failed (`rejected_roots`), without which nobody can
            see why the next round followed.
        tick: called between files.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses, and what `opening` raises.
    """
    plan, layout = signed.plan, layout_of(signed.plan)
    for folder in (*(root / name for name in FOLDERS), root / OPENINGS):
        make_directory(folder, PUBLIC_DIRECTORY)
        _sweep(folder)
    with disk_errors(root / MANIFEST):
        (root / MANIFEST).unlink(missing_ok=True)
        sync_directory(root / "transcript")
    write_signed_plan(root, signed)
    values = {chunk_root(value, plan.layout.leaf_bytes): value for value in rejected}
    for batch in batch_keys(layout):
        tick()
        write_atomic(root / opening_path(batch), opening(batch))
    for digest, value in values.items():
        write_atomic(root / rejected_path(digest), value)
    export.write(root / "transcript", plan, envelopes, checkpoint)
    _write_key_set(root / "keyset", plan, layout, lambda index: opening(("O", index)), tick)
    public = public_paths(layout, values)
    records = [record_of(root, root / path) for path in public]
    write_atomic(root / MANIFEST, sign_manifest(plan, records, key))


def batch_keys(layout: CeremonyLayout) -> tuple[BatchKey, ...]:
    """Return every batch of the layout, stage by stage."""
    return tuple((batch.stage, batch.index) for stage in STAGES for batch in layout.stage(stage))


def opening_path(key: BatchKey) -> str:
    """Return where the opening of a batch lies, relative to the ceremony's folder."""
    return f"{OPENINGS}/{BatchName(*key)}"


def rejected_path(digest: bytes) -> str:
    """Return where an opened value with this root lies that a decoder named and answers refuted."""
    return f"{OPENINGS}/rejected-{digest.hex()}"


def public_paths(layout: CeremonyLayout, rejected: Iterable[bytes] = ()) -> tuple[str, ...]:
    """Return every public file but the manifest, relative to the ceremony's folder.

    Args:
        layout: the ceremony's layout.
        rejected: roots of refuted values.
    """
    return (
        *PLAN_FILES,
        *(f"keyset/{file.value}" for file in KeyFile),
        *LOG_FILES,
        *map(opening_path, batch_keys(layout)),
        *map(rejected_path, rejected),
    )


def rejected_roots(state: CeremonyState) -> tuple[bytes, ...]:
    """Return the roots of opened values that the answers refuted, in the order of the layout."""
    return tuple(
        turn.decoded.root
        for key in state.batches
        if (opening := state.opening(key)) is not None
        for turn in opening.rounds
        if turn.decoded is not None
        and turn.verdict is Verdict.ODD_V
        and turn.decoded.root != opening.v_root
    )


def _write_key_set(
    folder: Path,
    plan: Plan,
    layout: CeremonyLayout,
    opening: Callable[[int], bytes],
    tick: Callable[[], None],
) -> None:
    parameters, tag = lookup(plan.parameters), bytes.fromhex(plan.ceremony_id)
    seed, bodies = seed_of(opening(0)), bodies_of(parameters, layout, opening)
    for file in KeyFile:
        tick()
        with _streamed(folder / file.value) as write:
            write_key_file(file, parameters, seed, tag, bodies, write=write)


@contextmanager
def _streamed(path: Path) -> Iterator[Callable[[bytes], object]]:
    """Write a file piece by piece; it appears under its name once it is whole."""
    with disk_errors(path):
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, PUBLIC_FILE)
                yield file.write
            replace_durably(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                temporary.unlink()
            raise


def _sweep(folder: Path) -> None:
    """Remove what a process that was killed while writing left behind."""
    with disk_errors(folder):
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink()
