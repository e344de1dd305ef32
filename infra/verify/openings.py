"""The opened values of a transcript, and the consistency equation of every challenge.

PROTOCOL.md, "Opening a batch": the answers of a round lie on one polynomial of degree 2t (t in
the assembly) whose value at 0 is sum rho v, where rho is drawn from the log prefix that ends with
the decoder's entry. A wrong v passes with probability 2^-128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.arithmetic import OpenedValues, RingArithmetic
from infra.publish.files import OPENINGS, batch_keys, opening_path, rejected_path, rejected_roots
from infra.verify.verdict import invalid
from mpc_core.preprocessing.bits import check_parity
from mpc_core.protocol.batch import fitting_answers
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.entries import Decoded, LogEntry
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root
from mpc_core.ring.galois import Ring
from mpc_core.sharing.opening import decode_words

if TYPE_CHECKING:
    from infra.verify.evidence import Evidence, Rules
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.opening import Opening, Round
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Openings", "check_challenges", "check_refuted", "check_values", "read_openings"]

Log = tuple[LogEntry, ...]
BITS = ("noise", "flood", "bits")
"""Purposes of batches whose opened values are x^2 + x."""


@dataclass(frozen=True, slots=True)
class Openings:
    """The opened values on disk by Merkle root; each is read again whenever it is asked for."""

    evidence: Evidence
    names: dict[bytes, str]

    def read(self, root: bytes) -> bytes | None:
        """Return the opened value with this root, None if it is not in the transcript."""
        name = self.names.get(root)
        return None if name is None else self.evidence.read(name)

    def online(self, index: int) -> bytes:
        """Return the opening of an assembly batch."""
        return self.evidence.read(opening_path(("O", index)))


def read_openings(evidence: Evidence, rules: Rules, log: Log) -> tuple[Openings, str]:
    """Check that the Merkle root of every opened value stands in a decoder's entry."""
    named = _named_roots(log)
    names: dict[bytes, str] = {}
    total = 0
    for key in batch_keys(rules.layout):
        name = opening_path(key)
        data = evidence.read(name)
        evidence.require_size(name, len(data), rules.layout.batch(*key).opened_bytes)
        digest = chunk_root(data, rules.plan.layout.leaf_bytes)
        entries = named.get(key, {})
        if digest not in entries.values():
            last = max(entries, default=None)
            raise invalid(
                "RF-VERIFY-020",
                f"{name} is not what the decoder opened"
                + ("" if last is None else f", entry {last} of the log"),
                expected="no decoder's entry" if last is None else f"root {entries[last].hex()}",
                found=f"root {digest.hex()}",
                operator="" if last is None else rules.plan.name_of(log[last].author),
            )
        names[digest] = name
        total += len(data)
    count = len(names)
    for name in _rejected(evidence):
        data = evidence.read(name)
        names.setdefault(chunk_root(data, rules.plan.layout.leaf_bytes), name)
    return Openings(evidence, names), f"{count} opened values of {total} bytes match their roots"


def check_values(rules: Rules, state: CeremonyState, openings: Openings) -> tuple[bool, str]:
    """Check that every opened value is the one that holds, canonical, and even where it must be."""
    elements = 0
    for key in batch_keys(rules.layout):
        batch, name = rules.layout.batch(*key), opening_path(key)
        opening, turn = _held(rules, state, key)
        root = opening.v_root
        if root is None or openings.names.get(root) != name:
            raise invalid(
                "RF-VERIFY-021",
                f"{name} is not the value that holds, entry {turn.position} of the log",
                expected=f"root {'' if root is None else root.hex()}",
                found="the value of a round that does not hold",
                operator=rules.plan.name_of(turn.decoder),
            )
        ring = Ring(batch.word_bits, batch.degree)
        try:
            values = decode_words(openings.evidence.read(name), batch.element_groups, ring)
            if batch.purpose in BITS:
                check_parity(values, ring)
        except CeremonyError as error:
            if not error.code.startswith("RF-BATCH-"):
                raise
            raise invalid(
                "RF-VERIFY-022",
                f"{name} is no opening: {error.subject} ({error.code})",
                expected=error.expected,
                found=error.found,
                operator=rules.plan.name_of(turn.decoder),
            ) from error
        elements += len(values)
    return True, f"{elements} opened elements are canonical; those of random bits are even"


def check_refuted(evidence: Evidence, state: CeremonyState, openings: Openings) -> tuple[bool, str]:
    """Check that other opened values in the transcript are those that answers refuted."""
    refuted = {rejected_path(root): root for root in rejected_roots(state)}
    for name in _rejected(evidence):
        if name not in refuted or openings.names.get(refuted[name]) != name:
            raise invalid(
                "RF-VERIFY-004",
                f"{name} belongs to no transcript",
                expected="values of rounds whose answers refuted them",
                found="another value",
                operator="coordinator",
            )
    return True, f"{len(refuted)} rounds opened a wrong value and were repeated"


def check_challenges(rules: Rules, state: CeremonyState, openings: Openings) -> tuple[bool, str]:
    """Evaluate the consistency equation of every batch, whatever its state says already."""
    arithmetic = RingArithmetic(rules.plan, OpenedValues(rules.layout, openings.read))
    count, misfits = 0, []
    for key in batch_keys(rules.layout):
        opening, turn = _held(rules, state, key)
        rule, degree = opening.rule, opening.rule.polynomial_degree(state.quorum)
        answers = {
            operator: value
            for operator, value in turn.answers.items()
            if operator not in state.members.excluded
        }
        fitting = fitting_answers(answers, rule, state.quorum, arithmetic)
        if fitting is None or len(fitting) < rule.points(state.quorum):
            raise _inconsistent(rules, turn, key, f"{len(answers)} answers on no polynomial")
        assert turn.decoded is not None
        expected = arithmetic.expected(
            rule, opening.context, turn.number, turn.log_root, turn.decoded.root
        )
        if arithmetic.value_at_zero(fitting, degree, rule) != expected:
            raise _inconsistent(rules, turn, key, "answers that contradict the opened value")
        count += len(fitting)
        misfits += [
            f"{rules.plan.name_of(operator)} in {BatchName(*key)}"
            for operator in sorted(answers.keys() - fitting.keys())
        ]
    off = f"; ignored, since they do not fit: {', '.join(misfits)}" if misfits else ""
    batches = len(batch_keys(rules.layout))
    return True, f"{count} answers to {batches} challenges are consistent{off}"


def _held(rules: Rules, state: CeremonyState, key: BatchKey) -> tuple[Opening, Round]:
    opening = state.opening(key)
    if opening is None or opening.held is None:
        raise invalid(
            "RF-VERIFY-023",
            f"batch {BatchName(*key)} was not opened",
            expected=f"{state.quorum.n_minus_t} vouchers and consistent answers",
            found="a batch that is open" if opening else "a batch that has not begun",
            operator=rules.plan.name_of(opening.rounds[-1].decoder)
            if opening and opening.rounds
            else "",
        )
    return opening, opening.rounds[opening.held]


def _inconsistent(rules: Rules, turn: Round, key: BatchKey, found: str) -> CeremonyError:
    return invalid(
        "RF-VERIFY-024",
        f"the challenge of batch {BatchName(*key)} fails, entry {turn.position} of the log",
        expected="answers on one polynomial whose value at 0 is that of the opened value",
        found=found,
        operator=rules.plan.name_of(turn.decoder),
    )


def _named_roots(log: Log) -> dict[BatchKey, dict[int, bytes]]:
    """Return, for every batch, the roots that decoders named, by log position."""
    named: dict[BatchKey, dict[int, bytes]] = {}
    for entry in log:
        if isinstance(entry.entry, Decoded):
            name = entry.entry.batch
            named.setdefault((name.stage, name.batch), {})[entry.position] = entry.entry.root
    return named


def _rejected(evidence: Evidence) -> list[str]:
    """Return the refuted values that are listed or lie there: without a manifest, too."""
    there = (evidence.folder / OPENINGS).glob("rejected-*")
    names = {path.relative_to(evidence.folder).as_posix() for path in there} | evidence.sizes.keys()
    return sorted(name for name in names if name.startswith(f"{OPENINGS}/rejected-"))
