"""The files that a verification rests on: plan, key set and transcript, nothing else.

A file that is missing, or shorter than the manifest lists it, makes the result incomplete; whoever
wants its bytes hears that and nothing worse. Any other difference makes it invalid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.files import mapped
from infra.party.rules import layout_of
from infra.plan.signing import verify_signed_plan
from infra.publish.files import (
    PLAN_FILES,
    batch_keys,
    evidence_path,
    fixed_paths,
    opening_path,
    rejected_path,
)
from infra.publish.manifest import (
    FOLDERS,
    MANIFEST,
    OPENINGS,
    FileRecord,
    Keeps,
    Manifest,
    check_signature,
    is_cut_short,
    parse_manifest,
)
from infra.verify.verdict import FILE_MISSING, FILE_TOO_SHORT, invalid
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import COORDINATOR
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Callable

    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.plan import Plan
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["Evidence", "Rules", "check_files", "check_manifest", "read_manifest", "read_plan"]


_ROOT = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the signed plan fixes."""

    plan: Plan
    layout: CeremonyLayout
    parameters: Parameters


@dataclass(slots=True)
class Evidence:
    """The folder, and what its manifest says of it once that could be read.

    Attributes:
        folder: the ceremony's folder.
        sizes: the listed files with their sizes.
        keeps: which opened values should be there.
    """

    folder: Path
    sizes: dict[str, int]
    keeps: Keeps = Keeps.ALL

    def kept(self, layout: CeremonyLayout) -> tuple[BatchKey, ...]:
        """Return the batches whose openings should be there, in the order of the layout."""
        return tuple(
            key
            for key in batch_keys(layout)
            if self.keeps is Keeps.ALL or key[0] == "O" or opening_path(key) in self.sizes
        )

    def rejected(self) -> list[str]:
        """Return the refuted values that are listed or lie there: without a manifest, too."""
        there = (self.folder / OPENINGS).glob("rejected-*")
        names = {path.relative_to(self.folder).as_posix() for path in there} | self.sizes.keys()
        return sorted(name for name in names if name.startswith(f"{OPENINGS}/rejected-"))

    def path(self, name: str) -> Path:
        """Return where a file lies after checking that it is there in full.

        Raises:
            CeremonyError: RF-VERIFY-001 if it is missing or unreadable, RF-VERIFY-002 if it is
                shorter than it was.
        """
        path = self.folder / name
        try:
            found = path.stat().st_size if path.is_file() else None
        except OSError:
            found = None
        if found is None:
            raise _incomplete(FILE_MISSING, f"{name} is missing", "a file", "none")
        self.require_size(name, found, self.sizes.get(name, 0))
        return path

    def read(self, name: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            CeremonyError: RF-VERIFY-001 or -002, as `path`.
        """
        path = self.path(name)
        try:
            return path.read_bytes()
        except OSError as error:
            raise unreadable(name, error) from error

    def view(self, name: str) -> memoryview:
        """Return the bytes of a file without having all of them in memory.

        Raises:
            CeremonyError: RF-VERIFY-001 or -002, as `path`.
        """
        path = self.path(name)
        try:
            return mapped(path)
        except OSError as error:
            raise unreadable(name, error) from error

    def require_size(self, name: str, found: int, expected: int) -> None:
        """Check that a file is not shorter than it must be.

        Raises:
            CeremonyError: RF-VERIFY-002.
        """
        if found < expected:
            raise _incomplete(
                FILE_TOO_SHORT, f"{name} is cut short", f"{expected} bytes", f"{found} bytes"
            )


def unreadable(name: str, error: OSError) -> CeremonyError:
    """Return the finding that a file cannot be read."""
    found = error.strerror or type(error).__name__
    return _incomplete(FILE_MISSING, f"{name} cannot be read", "a readable file", found)


def read_manifest(evidence: Evidence) -> tuple[Manifest, str]:
    """Read the manifest; its signature is checked once the plan is known."""
    data = evidence.read(MANIFEST)
    if is_cut_short(data):
        raise _incomplete(
            FILE_TOO_SHORT, f"{MANIFEST} is cut short", "a whole manifest", f"{len(data)} bytes"
        )
    manifest = parse_manifest(data)
    evidence.sizes = {record.path: record.size for record in manifest.files}
    evidence.keeps = manifest.keeps
    total = sum(evidence.sizes.values())
    but = "" if manifest.keeps is Keeps.ALL else "; the openings of N, S and M are not kept"
    return manifest, f"{len(manifest.files)} files of {total} bytes are listed{but}"


def read_plan(evidence: Evidence, plan_hash: str | None) -> tuple[Rules, str]:
    """Check the plan: canonical, signed by everybody, and the expected one if one is expected."""
    toml, signatures = (evidence.read(name) for name in PLAN_FILES)
    try:
        plan = verify_signed_plan(toml, signatures).plan
        rules = Rules(plan, layout_of(plan), lookup(plan.parameters))
    except CeremonyError as error:
        raise invalid(
            "RF-VERIFY-006",
            f"the plan is not valid: {error.subject} ({error.code})",
            expected=error.expected,
            found=error.found,
            operator=error.operator,
        ) from error
    if plan_hash is not None and plan_hash.strip().lower() != plan.hash.hex():
        raise invalid(
            "RF-VERIFY-007",
            "this is the result of another plan",
            expected=plan_hash.strip()[:64],
            found=plan.hash.hex(),
        )
    pinned = "not pinned by --plan-hash" if plan_hash is None else "as pinned"
    kind = ", ".join(("sandbox", *plan.insecure)) if plan.sandbox else "no sandbox"
    if plan.attestation is None and not plan.sandbox:
        kind += ", NO ENCLAVES"
    if rules.parameters.scaled:
        kind += f"; {plan.parameters}, a scaled set that protects nothing"
    people = (each.name for each in plan.representatives)
    others = "".join(f" and {name}" for name in (*list(plan.hosts)[1:], *people))
    signers = f"signed by {plan.count} operators and the coordinator{others}"
    return rules, f"hash {plan.hash.hex()}, {pinned}; {signers}; {kind}"


def check_manifest(manifest: Manifest, rules: Rules) -> tuple[bool, str]:
    """Check that coordinator or deputy signed the manifest, and that it lists what it should."""
    signer = check_signature(rules.plan, manifest)
    listed = {record.path for record in manifest.files}
    openings = {key: opening_path(key) for key in batch_keys(rules.layout)}
    known = {*fixed_paths(), *openings.values()}
    required = {
        *fixed_paths(),
        *(path for key, path in openings.items() if manifest.keeps is Keeps.ALL or key[0] == "O"),
    }
    unknown = sorted(path for path in listed - known if not (_is_rejected(path) or _is_shown(path)))
    if unknown:
        raise invalid(
            "RF-VERIFY-004",
            f"the manifest lists {unknown[0]}, which belongs to no transcript",
            expected="plan, key set, log and openings",
            found=f"{len(unknown)} other files",
            operator="coordinator",
        )
    if lacking := sorted(required - listed):
        raise invalid(
            "RF-VERIFY-005",
            f"the manifest does not list {lacking[0]}",
            expected=f"all {len(required)} files of a transcript",
            found=f"{len(required) - len(lacking)} of them",
            operator="coordinator",
        )
    return True, f"signed by the {signer}" if signer == COORDINATOR else f"signed by {signer}"


def check_files(
    evidence: Evidence, manifest: Manifest, found: Callable[[str], FileRecord]
) -> tuple[bool, str]:
    """Check every listed file against its size and digest, and that there is no other.

    Args:
        evidence: the files.
        manifest: what they should be.
        found: returns what a file is; raises `CeremonyError` if it is not there in full.
    """
    findings = [
        finding for record in manifest.files if (finding := _compare(record, found)) is not None
    ]
    findings += _unlisted(evidence)
    findings.sort(key=lambda error: error.code in {FILE_MISSING, FILE_TOO_SHORT})
    if findings:
        raise findings[0]
    return True, f"{len(manifest.files)} files have the listed digests; there is no other file"


def _compare(record: FileRecord, find: Callable[[str], FileRecord]) -> CeremonyError | None:
    try:
        found = find(record.path)
    except CeremonyError as incomplete:
        return incomplete
    if found == record:
        return None
    return invalid(
        "RF-VERIFY-003",
        f"{record.path} is not the file that was published",
        expected=f"{record.size} bytes with digest {record.digest.hex()}",
        found=f"{found.size} bytes with digest {found.digest.hex()}",
    )


def _unlisted(evidence: Evidence) -> list[CeremonyError]:
    folders = {Path(name).parent.as_posix() for name in evidence.sizes} | set(FOLDERS)
    return [
        invalid(
            "RF-VERIFY-004",
            f"{name} belongs to no transcript",
            expected="the files that the manifest lists and nothing else",
            found="something more",
        )
        for folder in FOLDERS
        for path in sorted((evidence.folder / folder).rglob("*"))
        if (name := path.relative_to(evidence.folder).as_posix()) != MANIFEST
        and name not in evidence.sizes
        and not (name in folders and path.is_dir())
    ]


def _is_rejected(path: str) -> bool:
    digest = path.rpartition("-")[2]
    return bool(_ROOT.fullmatch(digest)) and path == rejected_path(bytes.fromhex(digest))


def _is_shown(path: str) -> bool:
    digest = path.rpartition("/")[2]
    return bool(_ROOT.fullmatch(digest)) and path == evidence_path(bytes.fromhex(digest))


def _incomplete(code: str, subject: str, expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        code,
        subject,
        expected=expected,
        found=found,
        effect="what rests on it cannot be checked",
        next_step="copy the folder again in full, or let the ceremony finish with --resume",
        runbook="verification-failed",
    )
