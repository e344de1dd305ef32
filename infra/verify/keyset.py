"""The key files against the openings: rebuilt byte for byte, and accepted as the rules demand."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

from activities.work.phases import acceptance_ciphertexts, decode_phases
from infra.publish.files import opening_path
from infra.verify.evidence import unreadable
from infra.verify.verdict import invalid
from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.export import KeyFile, write_key_set
from mpc_core.tfhe.keyset import bodies_of, digest_of_files, seed_of

if TYPE_CHECKING:
    from infra.verify.evidence import Evidence, Rules
    from infra.verify.openings import Openings
    from infra.verify.progress import Progress
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.protocol.state import CeremonyState
    from mpc_core.tfhe.ciphertexts import CompactList

__all__ = ["check_audit", "check_digest", "check_rebuilt", "check_seed", "check_tests"]


def check_seed(state: CeremonyState, openings: Openings) -> tuple[bytes, str]:
    """Check the public seed: one value of 128 bits, opened after the seal."""
    opening = openings.online(0)
    seed = seed_of(opening)
    turn = state.opening(("O", 0))
    assert turn is not None
    position = turn.rounds[turn.held or 0].position
    if any(opening[len(seed) :]):
        raise invalid(
            "RF-VERIFY-040",
            f"the public seed is wider than it can be, entry {position} of the log",
            expected="one value of 128 bits",
            found="further values that are not zero",
        )
    return seed, f"{seed.hex()}, entry {position}"


def check_rebuilt(
    evidence: Evidence,
    rules: Rules,
    openings: Openings,
    seed: bytes,
    progress: Progress,
) -> tuple[dict[str, bytes], str]:
    """Rebuild the three files from seed and bodies, and compare every byte."""
    tag = bytes.fromhex(rules.plan.ceremony_id)
    bodies = bodies_of(rules.parameters, rules.layout, openings.online)
    compared = {file: _Comparison(f"keyset/{file.value}", progress) for file in KeyFile}
    with ExitStack() as stack:
        for each in compared.values():
            each.open(evidence, stack)
        takes = {file: each.take for file, each in compared.items()}
        write_key_set(rules.parameters, seed, tag, bodies, takes)
        for each in compared.values():
            each.finish()
    digests = {file.value: each.digest.digest() for file, each in compared.items()}
    total = sum(each.size for each in compared.values())
    count = rules.layout.body_count
    return digests, f"{count} bodies and their masks give the same {total} bytes"


def check_digest(rules: Rules, state: CeremonyState, digests: dict[str, bytes]) -> tuple[bool, str]:
    """Check that n-t operators signed the digest of these three files."""
    digest, named = digest_of_files(digests), state.release.key_set
    if named is None or digest != state.release.digest:
        raise invalid(
            "RF-VERIFY-042",
            "the operators signed another key set"
            + ("" if named is None else f", entry {named.position} of the log"),
            expected=digest.hex(),
            found="no key set in the log" if named is None else state.release.digest.hex(),
        )
    signers = ", ".join(map(rules.plan.name_of, named.signers))
    return True, f"{digest.hex()}, entry {named.position}, signed by {signers}"


def check_audit(rules: Rules, openings: Openings) -> tuple[bool, str]:
    """Check that every zero audit opened to zero."""
    audits = [batch for batch in rules.layout.assembly if batch.purpose == "audit"]
    for batch in audits:
        if any(openings.online(batch.index)):
            raise invalid(
                "RF-VERIFY-043",
                f"the zero audit of the {batch.word_bits}-bit objects is not zero",
                expected="zeros only",
                found=f"another value in {opening_path((batch.stage, batch.index))}",
            )
    combinations = sum(batch.elements for batch in audits)
    return True, f"{combinations} challenge combinations in {len(audits)} rings are zero"


def check_tests(rules: Rules, openings: Openings) -> tuple[bool, str]:
    """Check that the test ciphertexts decrypted to the plaintexts of the plan."""
    expected = rules.plan.tests.plaintexts
    lists = acceptance_ciphertexts(rules.plan, rules.parameters, rules.layout, openings.online)
    for batch in rules.layout.assembly:
        if batch.purpose == "tests" and _decrypt(rules, batch, openings, lists) != expected:
            raise invalid(
                "RF-VERIFY-044",
                "a test decryption gave another plaintext than the plan's",
                expected=", ".join(map(str, expected)),
                found=f"another value in {opening_path((batch.stage, batch.index))}",
            )
    return True, f"{len(expected)} test ciphertexts decrypt to the plaintexts of the plan"


def _decrypt(
    rules: Rules, batch: BatchLayout, openings: Openings, lists: list[CompactList]
) -> tuple[int | bool, ...] | None:
    """Return the plaintexts, None where a phase is no message within flood and noise."""
    try:
        return decode_phases(
            rules.plan, rules.parameters, batch, openings.online(batch.index), lists
        )
    except CeremonyError as error:
        if error.code != "RF-TFHE-003":
            raise
        return None


@dataclass(slots=True)
class _Comparison:
    """A published file against its bytes as they are rebuilt, piece by piece."""

    name: str
    progress: Progress
    size: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    _published: BinaryIO = field(default_factory=BytesIO)

    def open(self, evidence: Evidence, stack: ExitStack) -> None:
        """Open the published file until the stack is left."""
        try:
            self._published = stack.enter_context(evidence.path(self.name).open("rb"))
        except OSError as error:
            raise unreadable(self.name, error) from error

    def take(self, piece: bytes) -> None:
        """Compare the next bytes."""
        found = self._read(len(piece))
        if found != piece:
            same = next(
                (
                    at
                    for at, pair in enumerate(zip(found, piece, strict=False))
                    if pair[0] != pair[1]
                ),
                len(found),
            )
            raise self._differs(self.size + same)
        self.digest.update(piece)
        self.size += len(piece)
        self.progress.add(len(piece))

    def finish(self) -> None:
        """Check that the published file ends here."""
        if self._read(1):
            raise self._differs(self.size)

    def _read(self, count: int) -> bytes:
        try:
            return self._published.read(count)
        except OSError as error:
            raise unreadable(self.name, error) from error

    def _differs(self, offset: int) -> CeremonyError:
        return invalid(
            "RF-VERIFY-041",
            f"{self.name} is not what seed and bodies give",
            expected="the export of the opened bodies, byte for byte",
            found=f"another byte at offset {offset}",
        )
