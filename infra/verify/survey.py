"""One pass over every public file: digests, and how opened values answer their challenges.

Opened values are by far the most of a transcript, and reading them is most of a verification. So
each is gone through while its bytes are at hand, and whatever some check wants to know of it is
found out then. Two files are read at a time: hashing and the kernels run outside of Python's lock.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.leaves import leaf_root
from infra.party.kernels import load_kernels
from infra.publish.files import opening_path
from infra.publish.manifest import FileRecord, is_opening, record_of
from infra.verify.evidence import unreadable
from infra.verify.opened import claims_of, objection_to, sum_of
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infra.publish.manifest import Manifest
    from infra.verify.evidence import Evidence, Rules
    from infra.verify.opened import Claim
    from infra.verify.progress import Progress
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.entries import LogEntry

__all__ = ["Measured", "Survey", "survey"]

_THREADS = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """What one pass over a file found.

    Attributes:
        record: size and digest as a manifest lists them.
        sums: of an opened value: sum rho v for every challenge that the log puts to it.
        objection: of the opening of a batch: why it cannot be one, None if it can.
    """

    record: FileRecord
    sums: Mapping[Claim, bytes] = field(default_factory=dict)
    objection: CeremonyError | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found in every file, or why it could not be read."""

    found: Mapping[str, Measured | CeremonyError]

    def measured(self, name: str) -> Measured:
        """Return what was found in a file.

        Raises:
            CeremonyError: RF-VERIFY-001 or -002, if it is not there in full.
        """
        found = self.found[name]
        if isinstance(found, CeremonyError):
            raise found
        return found

    def record(self, name: str) -> FileRecord:
        """Return size and digest of a file.

        Raises:
            CeremonyError: as `measured`.
        """
        return self.measured(name).record


def survey(
    evidence: Evidence,
    manifest: Manifest | None,
    rules: Rules | None,
    log: Iterable[LogEntry] | None,
    progress: Progress,
) -> Survey:
    """Go through every public file once.

    Args:
        evidence: the files.
        manifest: names them, if it could be read.
        rules: names the batches, if the plan is valid.
        log: names the challenges, if it is the signed one.
        progress: hears of every file.
    """
    cut = manifest if rules is None else rules.plan.layout
    if cut is None:
        return Survey({})
    if rules is not None:
        load_kernels(rules.layout.degree)
    keys = {} if rules is None else {opening_path(k): k for k in evidence.kept(rules.layout)}
    look = _Look(evidence, rules, cut.leaf_bytes, {} if log is None else claims_of(log), keys)

    def at(name: str) -> Measured | CeremonyError:
        found = look.at(name)
        if isinstance(found, Measured):
            progress.add(found.record.size)
        return found

    names = tuple(dict.fromkeys([*keys, *evidence.rejected(), *evidence.sizes]))
    with ThreadPoolExecutor(_THREADS, "verify") as pool:
        try:
            return Survey(dict(zip(names, pool.map(at, names), strict=True)))
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Look:
    """What has to be known to go through a file.

    Attributes:
        evidence: the files.
        rules: what the signed plan fixes, if it is valid.
        leaf_bytes: length of the leaves of Merkle trees.
        claims: what the log says of opened values, by root.
        keys: the batches whose openings should be there, by file.
    """

    evidence: Evidence
    rules: Rules | None
    leaf_bytes: int
    claims: Mapping[bytes, tuple[Claim, ...]]
    keys: Mapping[str, BatchKey]

    def at(self, name: str) -> Measured | CeremonyError:
        """Go through a file; return what is found, or why it cannot be read."""
        try:
            if is_opening(name):
                return self._opening(name, self.evidence.view(name))
            path = self.evidence.path(name)
            return Measured(record_of(self.evidence.folder, path, self.leaf_bytes))
        except CeremonyError as error:
            return error
        except OSError as error:
            return unreadable(name, error)

    def _opening(self, name: str, data: memoryview) -> Measured:
        record = FileRecord(name, len(data), leaf_root(data, self.leaf_bytes))
        if self.rules is None:
            return Measured(record)
        sums = {}
        for claim in self.claims.get(record.digest, ()):
            with suppress(CeremonyError, IndexError):  # of a batch that it is no opening of
                sums[claim] = sum_of(self.rules, claim, data)
        key = self.keys.get(name)
        objection = None if key is None else objection_to(self.rules.layout.batch(*key), data)
        return Measured(record, sums, objection)
