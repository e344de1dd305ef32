"""The opened values of a transcript, and the consistency equation of every challenge.

PROTOCOL.md, "Opening a batch": the answers of a round lie on one polynomial of degree 2t (t in
the assembly) whose value at 0 is sum rho v, where rho is drawn from the log prefix that ends with
the decoder's entry. A wrong v passes with probability 2^-128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.publish.files import batch_keys, opening_path, rejected_path, rejected_roots
from infra.publish.manifest import Keeps
from infra.verify.arithmetic import AuditArithmetic
from infra.verify.verdict import NotRepeated, invalid
from mpc_core.protocol.batch import Verdict, fits_value, fitting_answers
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.entries import Answer, Decoded, LogEntry

if TYPE_CHECKING:
    from infra.verify.evidence import Evidence, Rules
    from infra.verify.survey import Measured, Survey
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.errors import CeremonyError
    from mpc_core.protocol.opening import Opening, Round
    from mpc_core.protocol.state import CeremonyState

__all__ = [
    "Openings",
    "check_challenges",
    "check_refuted",
    "check_values",
    "not_repeated",
    "read_openings",
]

Log = tuple[LogEntry, ...]


@dataclass(frozen=True, slots=True)
class Openings:
    """The opened values on disk.

    Attributes:
        evidence: the files; a value is read again whenever it is asked for.
        found: what a pass over them found, by Merkle root.
        kept: the batches whose openings are here.
        taken: the others: what is said of their values is taken as the operators signed it.
    """

    evidence: Evidence
    found: dict[bytes, Measured]
    kept: tuple[BatchKey, ...]
    taken: frozenset[BatchKey]

    def find(self, root: bytes) -> Measured | None:
        """Return what was found in the value with this root, None if it is not here."""
        return self.found.get(root)

    def value_of(self, opening: Opening) -> memoryview:
        """Return the value that held in an opening, which may be dead.

        Raises:
            CeremonyError: RF-VERIFY-053, if it is not here.
        """
        found = self.find(opening.held_root)
        if found is None:
            raise invalid(
                "RF-VERIFY-053",
                f"the opened value of batch {opening.name} is not in the transcript",
                expected="every value that a burnt batch was made from",
                found="none with that root",
                operator="coordinator",
            )
        return self.evidence.view(found.record.path)

    def online(self, index: int) -> memoryview:
        """Return the opening of an assembly batch."""
        return self.evidence.view(opening_path(("O", index)))


def read_openings(
    evidence: Evidence, rules: Rules, log: Log, survey: Survey
) -> tuple[Openings, str]:
    """Check that the Merkle root of every opened value stands in a decoder's entry."""
    named = _named_roots(log)
    kept = evidence.kept(rules.layout)
    found: dict[bytes, Measured] = {}
    total = 0
    for key in kept:
        name = opening_path(key)
        value = survey.measured(name)
        digest = value.record.digest
        evidence.require_size(name, value.record.size, rules.layout.batch(*key).opened_bytes)
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
        found[digest] = value
        total += value.record.size
    for name in evidence.rejected():
        value = survey.measured(name)
        found.setdefault(value.record.digest, value)
    taken = frozenset(batch_keys(rules.layout)) - set(kept)
    but = f"; {len(taken)} are not kept" if taken else ""
    detail = f"{len(kept)} opened values of {total} bytes match their roots{but}"
    return Openings(evidence, found, kept, taken), detail


def check_values(rules: Rules, state: CeremonyState, openings: Openings) -> tuple[bool, str]:
    """Check that every opened value is the one that holds, canonical, and even where it must be."""
    elements = 0
    for key in openings.kept:
        name = opening_path(key)
        opening, turn = _held(rules, state, key)
        value = None if opening.v_root is None else openings.find(opening.v_root)
        if value is None or value.record.path != name:
            raise invalid(
                "RF-VERIFY-021",
                f"{name} is not the value that holds, entry {turn.position} of the log",
                expected=f"root {(opening.v_root or b'').hex()}",
                found="the value of a round that does not hold",
                operator=rules.plan.name_of(turn.decoder),
            )
        if (objection := value.objection) is not None:
            raise invalid(
                "RF-VERIFY-022",
                f"{name} is no opening: {objection.subject} ({objection.code})",
                expected=objection.expected,
                found=objection.found,
                operator=rules.plan.name_of(turn.decoder),
            ) from objection
        elements += sum(count for _, count in rules.layout.batch(*key).element_groups)
    return True, f"{elements} opened elements are canonical; those of random bits are even"


def check_refuted(evidence: Evidence, state: CeremonyState, openings: Openings) -> tuple[bool, str]:
    """Check that other opened values in the transcript are those that answers refuted.

    And that none is missing of those that the log says were refuted.
    """
    refuted = {rejected_path(root): root for _, root in rejected_roots(state, openings.kept)}
    for name in evidence.rejected():
        value = openings.find(refuted[name]) if name in refuted else None
        if value is None or value.record.path != name:
            raise _no_reason(name, "values of rounds whose answers refuted them")
    if evidence.keeps is Keeps.ASSEMBLY:
        quarrels = state.disputed
        for key in openings.kept:
            if key[0] != "O" and key not in quarrels:
                raise _no_reason(opening_path(key), "batches in which a value was refuted")
    _check_nothing_left_out(state, openings)
    wrong = sum(
        turn.verdict is Verdict.ODD_V for opening in state.ever_opened for turn in opening.rounds
    )
    dead = len({opening.name for opening in state.ever_opened if opening.dead})
    anew = f"; {dead} batches were drawn anew" if dead else ""
    return True, f"{wrong} rounds opened a wrong value and were repeated{anew}"


def check_challenges(rules: Rules, state: CeremonyState, openings: Openings) -> tuple[bool, str]:
    """Evaluate the consistency equation of every batch, whatever its state says already.

    Of a batch whose opened value is not kept, the half without v: all answers on one polynomial.
    """
    arithmetic = AuditArithmetic(rules, openings)
    count, misfits = 0, []
    for key in batch_keys(rules.layout):
        opening, turn = _held(rules, state, key)
        rule = opening.rule
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
        if expected is None or not fits_value(fitting, expected, rule, state.quorum, arithmetic):
            raise _inconsistent(rules, turn, key, "answers that contradict the opened value")
        count += len(fitting)
        misfits += [
            f"{rules.plan.name_of(operator)} in {BatchName(*key)}"
            for operator in sorted(answers.keys() - fitting.keys())
        ]
    off = f"; ignored, since they do not fit: {', '.join(misfits)}" if misfits else ""
    batches = len(batch_keys(rules.layout))
    half = f", {len(openings.taken)} of them as far as can be seen" if openings.taken else ""
    return True, f"{count} answers to {batches} challenges are consistent{half}{off}"


def not_repeated(rules: Rules, openings: Openings) -> tuple[NotRepeated, ...]:
    """Say which checks could not be made without the opened values that are not kept, and why."""
    if not openings.taken:
        return ()
    batches = [rules.layout.batch(*key) for key in openings.taken]
    count, size = len(batches), sum(batch.opened_bytes for batch in batches)
    signers = f"{rules.plan.quorum} of {rules.plan.count} operators"
    return (
        NotRepeated(
            "opened values",
            f"that {count} opened values of {size} bytes have the roots in the log",
            f"for each of them {signers} signed that they held it and found its root right",
        ),
        NotRepeated(
            "openings",
            "that these values are canonical, and those of random bits even",
            "an odd one makes bits that are no bits; each of these operators signed that it looked",
        ),
        NotRepeated(
            "challenges",
            "that the answers have sum rho v at 0; that they lie on one polynomial was checked",
            "a wrong value spoils noise or key bits without harming any other check; by the seal "
            f"{signers} say that they found none",
        ),
        NotRepeated(
            "rules",
            f"the judgement of these {count} batches, taken as the sealed log has it",
            "entries that would be void under another judgement count as the operators counted "
            "them",
        ),
    )


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


def _check_nothing_left_out(state: CeremonyState, openings: Openings) -> None:
    """Check that no value was refuted that is not here.

    In the log n-t operators say so of each; and at most t operators, who may lie, answered rounds
    that never opened here.
    """
    for each in state.ever_opened:
        missing = any(turn.odd for turn in each.awaited)
        if missing or (each.refuted and each.rule.key in openings.taken):
            raise _left_out(each, "n-t operators that refuted it, and no such value")
    taken = {
        opening.context: opening
        for key in sorted(openings.taken)
        if (opening := state.opening(key)) is not None
    }
    elsewhere: dict[bytes, set[int]] = {context: set() for context in taken}
    for logged in state.log:
        if isinstance(entry := logged.entry, Answer) and entry.context in taken:
            opens = entry.round < len(taken[entry.context].rounds)
            elsewhere[entry.context].update(() if opens else logged.signers)
    for context, operators in elsewhere.items():
        if len(operators) > state.quorum.threshold:
            raise _left_out(
                taken[context], f"{len(operators)} operators that answered for a later round"
            )


def _left_out(opening: Opening, found: str) -> CeremonyError:
    return invalid(
        "RF-VERIFY-025",
        f"batch {opening.name} went on with another value than the first",
        expected="the value that was refuted in the transcript",
        found=found,
        operator="coordinator",
    )


def _named_roots(log: Log) -> dict[BatchKey, dict[int, bytes]]:
    """Return, for every batch, the roots that decoders named, by log position."""
    named: dict[BatchKey, dict[int, bytes]] = {}
    for entry in log:
        if isinstance(entry.entry, Decoded):
            name = entry.entry.batch
            named.setdefault((name.stage, name.batch), {})[entry.position] = entry.entry.root
    return named


def _no_reason(name: str, expected: str) -> CeremonyError:
    return invalid(
        "RF-VERIFY-004",
        f"{name} belongs to no transcript",
        expected=expected,
        found="another value",
        operator="coordinator",
    )
