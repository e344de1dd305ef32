"""The manifest: size and digest of every public file, signed by the coordinator.

```
ringforge manifest v2, 00005411 bytes
plan 1f0c...
openings all, leaves of 262144 bytes
3a5e...        4608 keyset/CompactPublicKey
...
coordinator ed25519 base64
```
The first line states how long the manifest is, so that one that was cut short can be told from one
that was altered. The third says which opened values the transcript keeps, and how they are cut into
leaves: the digest of an opened value is its Merkle root, which the log names too, so that nobody
has to hash gigabytes twice; that of any other file is its SHA-256. There is one rendering of each
manifest and nothing else is read.

Security: the signature shows who published these files and that nothing was changed since. What
    they are worth is proven by the operators' signatures inside; a stranger can sign a manifest
    of his own, so whoever verifies should pin the hash of the plan.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from infra.board.wire import verify_signature
from infra.files import mapped
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from mpc_core.protocol.plan import Plan

__all__ = [
    "EVIDENCE",
    "FOLDERS",
    "MANIFEST",
    "OPENINGS",
    "FileRecord",
    "Keeps",
    "Manifest",
    "check_signature",
    "is_cut_short",
    "is_opening",
    "parse_manifest",
    "record_of",
    "sign_manifest",
]

MANIFEST = "transcript/manifest"
"""Where the manifest lies, relative to the ceremony's folder."""

FOLDERS = ("keyset", "transcript")
"""Folders that hold what the manifest lists and nothing else."""

OPENINGS = "transcript/openings"
"""Folder of the opened values."""

EVIDENCE = "transcript/evidence"
"""Folder of what was shown against excluded operators, each file named by its Merkle root."""

DOMAIN = b"ringforge/manifest/v2\0"
SIGNATURE_BYTES = 64
READ_BYTES = 1 << 20

_HEADER = re.compile(rb"ringforge manifest v2, ([0-9]{8}) bytes\n")
_HEADER_BYTES = len(b"ringforge manifest v2, 00000000 bytes\n")
_PLAN = re.compile(
    rb"plan ([0-9a-f]{64})\nopenings (all|assembly), leaves of ([1-9][0-9]{0,11}) bytes\n"
)
_RECORD = re.compile(rb"([0-9a-f]{64}) {1,15}(0|[1-9][0-9]{0,14}) ([A-Za-z0-9._/-]{1,200})\n")
_SIGNATURE = re.compile(rb"coordinator ed25519 ([A-Za-z0-9+/]{86}==)\n")
_SIGNATURE_LINE_BYTES = len(b"coordinator ed25519 \n") + 88


class Keeps(StrEnum):
    """Which opened values a transcript keeps."""

    ALL = "all"
    """Those of every batch: whoever verifies repeats every check."""
    ASSEMBLY = "assembly"
    """Those of stage O, which make the key set, and of batches in which a value was refuted."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file as the manifest lists it.

    Attributes:
        path: relative to the ceremony's folder.
        size: in bytes.
        digest: the Merkle root of an opened value, the SHA-256 of any other file.
    """

    path: str
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as its bytes say it; the signature is not verified yet.

    Attributes:
        plan_hash: the plan that it belongs to.
        keeps: which opened values there are.
        leaf_bytes: length of the leaves of their Merkle trees.
        files: every public file but the manifest, in the order of the paths.
        signature: the coordinator's.
    """

    plan_hash: bytes
    keeps: Keeps
    leaf_bytes: int
    files: tuple[FileRecord, ...]
    signature: bytes


def is_opening(path: str) -> bool:
    """Tell whether a public file is an opened value, by its path."""
    return path.startswith(f"{OPENINGS}/")


def record_of(root: Path, path: Path, leaf_bytes: int) -> FileRecord:
    """Return what the manifest says of a file below `root`.

    Raises:
        OSError: if it cannot be read.
    """
    name = path.relative_to(root).as_posix()
    if is_opening(name):
        view = mapped(path)
        return FileRecord(name, len(view), chunk_root(view, leaf_bytes))
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
            size += len(piece)
    return FileRecord(name, size, digest.digest())


def sign_manifest(
    plan: Plan, keeps: Keeps, files: Iterable[FileRecord], key: Ed25519PrivateKey
) -> bytes:
    """Return the bytes of the manifest of these files, in the order of their paths."""
    listed = tuple(sorted(files, key=lambda record: record.path))
    body = _body(plan.hash, keeps, plan.layout.leaf_bytes, listed)
    return _whole(body, key.sign(DOMAIN + body))


def is_cut_short(data: bytes) -> bool:
    """Tell whether the bytes are only the beginning of a manifest."""
    header = _HEADER.match(data)
    if header is None:
        return len(data) < _HEADER_BYTES
    return len(data) < int(header[1]) and _ending(data) is None


def parse_manifest(data: bytes) -> Manifest:
    """Return what the bytes of a manifest say.

    Raises:
        CeremonyError: RF-VERIFY-005 unless they are the one rendering of it.
    """
    header, ending = _HEADER.match(data), _ending(data)
    plan = _PLAN.match(data, header.end()) if header else None
    if plan is None or ending is None:
        raise _invalid("a manifest with header, plan, files and signature", "other bytes")
    records, at, stop = [], plan.end(), len(data) - _SIGNATURE_LINE_BYTES
    while at < stop and (match := _RECORD.match(data, at, stop)):
        digest, size, path = match.groups()
        records.append(FileRecord(path.decode(), int(size), bytes.fromhex(digest.decode())))
        at = match.end()
    manifest = Manifest(
        bytes.fromhex(plan[1].decode()),
        Keeps(plan[2].decode()),
        int(plan[3]),
        tuple(records),
        ending,
    )
    paths = [record.path for record in records]
    if paths != sorted(set(paths)) or any(not _stays_below(path) for path in paths):
        raise _invalid("every file once, in order, below the folder", "another list")
    if _whole(_body_of(manifest), ending) != data:
        raise _invalid("the canonical rendering of what it says", "other bytes")
    return manifest


def check_signature(plan: Plan, manifest: Manifest) -> str:
    """Check that the coordinator of this plan signed the manifest, or a deputy in its place.

    Returns:
        The name of the party that signed.

    Raises:
        CeremonyError: RF-VERIFY-005.
    """
    if manifest.plan_hash != plan.hash:
        raise _invalid(f"plan {plan.hash.hex()}", f"plan {manifest.plan_hash.hex()}")
    if manifest.leaf_bytes != plan.layout.leaf_bytes:
        raise _invalid(f"leaves of {plan.layout.leaf_bytes} bytes", f"{manifest.leaf_bytes}")
    body = _body_of(manifest)
    for name, key in plan.hosts.items():
        if verify_signature(key, DOMAIN + body, manifest.signature):
            return name
    raise _invalid("a signature of the coordinator or of a deputy that the plan names", "another")


def _body_of(manifest: Manifest) -> bytes:
    return _body(manifest.plan_hash, manifest.keeps, manifest.leaf_bytes, manifest.files)


def _body(plan_hash: bytes, keeps: Keeps, leaf_bytes: int, files: tuple[FileRecord, ...]) -> bytes:
    lines = [f"plan {plan_hash.hex()}\n"]
    lines += [f"openings {keeps}, leaves of {leaf_bytes} bytes\n"]
    lines += [f"{file.digest.hex()} {file.size:>11} {file.path}\n" for file in files]
    rest = "".join(lines).encode()
    whole = _HEADER_BYTES + len(rest) + _SIGNATURE_LINE_BYTES
    return f"ringforge manifest v2, {whole:08d} bytes\n".encode() + rest


def _whole(body: bytes, signature: bytes) -> bytes:
    return body + f"coordinator ed25519 {base64.b64encode(signature).decode()}\n".encode()


def _ending(data: bytes) -> bytes | None:
    """Return the signature in the last line, None if that is no signature line."""
    match = _SIGNATURE.fullmatch(data[-_SIGNATURE_LINE_BYTES:])
    if match is None:
        return None
    try:
        signature = base64.b64decode(match[1], validate=True)
    except binascii.Error:
        return None
    return signature if len(signature) == SIGNATURE_BYTES else None


def _stays_below(path: str) -> bool:
    return not path.startswith("/") and not {"", ".", ".."} & set(path.split("/"))


def _invalid(expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        "RF-VERIFY-005",
        f"{MANIFEST} is not a manifest of this ceremony",
        expected=expected,
        found=found,
        effect="the files may be others than the coordinator published",
        next_step="fetch the folder again and compare the plan hash with an operator",
        runbook="verification-failed",
        operator="coordinator",
    )
