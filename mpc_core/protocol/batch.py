"""What the log makes of one batch (PROTOCOL.md, "Opening a batch" and "Stages and sealing").

- *open*: roots, a decoder's entry, vouchers or answers are still missing, or 2t+1 answers fit one
  another but not the decoder's v: then the next round follows, and nothing is burnt.
- *provisional*: 2t+1 answers of one round fit with its v, and n-t operators hold that v.
- *complete*: everybody neither excluded nor written off has answered, and all fit.
- *misfit*: answers lie on no polynomial of degree 2t. Somebody lied: the only way into blame.
- Degree-t openings (assembly) accept n-t answers on one polynomial that agrees with v; whoever
  is off that polynomial is an erasure.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import TYPE_CHECKING, Literal, Protocol

from mpc_core.protocol.context import BatchName  # noqa: TC001 - Temporal reads the hints

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from collections.abc import Set as AbstractSet

    from mpc_core.protocol.quorum import Quorum

__all__ = [
    "TAKEN",
    "Arithmetic",
    "BatchKey",
    "BatchRule",
    "BatchState",
    "BatchStatus",
    "NextStep",
    "Verdict",
    "digest_of_value",
    "fits_value",
    "fitting_answers",
    "judge",
    "next_step",
]

BatchKey = tuple[str, int]
"""A batch of the layout: (stage, index)."""

CHALLENGE_BITS = 128
"""A wrong v survives a challenge with probability 2^-128."""


@dataclass(frozen=True, slots=True)
class BatchRule:
    """What the layout fixes about a batch.

    Attributes:
        stage: "N", "S", "M" or "O".
        index: position of the batch in its stage, from 0.
        degree: "double" opens at degree 2t (detection only), "single" at degree t.
        word_bits: K of the ring GR(2^K, d) that answers live in.
        ring_degree: d of that ring.
        dependencies: batches whose opened values this batch's keys are derived from, in order.
    """

    stage: str
    index: int
    degree: Literal["double", "single"]
    word_bits: int
    ring_degree: int
    dependencies: tuple[BatchKey, ...] = ()

    @property
    def key(self) -> BatchKey:
        """Where the batch stands in the layout."""
        return (self.stage, self.index)

    @property
    def answer_bytes(self) -> int:
        """Canonical length of Y: ceil(128/d) elements of d words."""
        elements = -(-CHALLENGE_BITS // self.ring_degree)
        return elements * self.ring_degree * self.word_bits // 8

    def polynomial_degree(self, quorum: Quorum) -> int:
        """Return 2t or t."""
        return quorum.threshold * (2 if self.degree == "double" else 1)

    def points(self, quorum: Quorum) -> int:
        """Return how many roots a decoder uses, and how many answers must fit."""
        return quorum.two_t_plus_one if self.degree == "double" else quorum.n_minus_t


TAKEN = b""
"""In place of sum rho v: answers count as fitting but where n-t operators say that they do not."""


class Arithmetic(Protocol):
    """The arithmetic the rules need; answers are the bytes of Y by operator index."""

    def on_one_polynomial(self, answers: Mapping[int, bytes], degree: int, rule: BatchRule) -> bool:
        """Tell whether all answers lie on one polynomial of at most this degree."""
        ...

    def value_at_zero(self, answers: Mapping[int, bytes], degree: int, rule: BatchRule) -> bytes:
        """Interpolate answers that lie on one polynomial; return its value at 0, encoded as Y."""
        ...

    def expected(
        self, rule: BatchRule, context_id: bytes, round_number: int, log_root: bytes, v_root: bytes
    ) -> bytes | None:
        """Return sum rho v, encoded as Y, or None while this party does not hold this v.

        `TAKEN` is for who reads a sealed log without v and goes by what n-t operators say in it.
        """
        ...


class BatchState(StrEnum):
    """Where a batch stands; WAITING has no context yet (dependencies, stage not open)."""

    WAITING = "waiting"
    OPEN = "open"
    PROVISIONAL = "provisional"
    COMPLETE = "complete"
    MISFIT = "misfit"
    DEAD = "dead"


class Verdict(StrEnum):
    """What the answers of one round say."""

    OPEN = "open"
    UNKNOWN = "unknown"
    """Enough answers and vouchers, but this party does not hold v yet."""
    ODD_V = "odd-v"
    """The answers fit one another but not v: the next round follows."""
    PROVISIONAL = "provisional"
    COMPLETE = "complete"
    MISFIT = "misfit"

    @property
    def awaits_v(self) -> bool:
        """Whether the verdict waits until this party holds v."""
        return self is Verdict.UNKNOWN


NextStep = Literal["wait", "share", "decode", "vouch", "fetch", "answer", "settled", "blame"]


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A batch as a workflow sees it; small and serialisable.

    Attributes:
        name: the batch and its current try.
        state: where it stands.
        context: hex of the current context, "" before it is known.
        round: current (or held) round, -1 before the first opened.
        decoder: index of that round's decoder, 0 if none.
        decoded: whether that round has a valid decoder's entry.
        challenge_from: log position of that entry, -1 if none.
        v_root: hex of the root it names, "" if none.
        haves: operators that vouched for that root.
        haves_needed: n-t.
        failed: the answers fit one another but not v; only a close of the round moves on.
        v_unknown: the verdict waits until this party holds v.
        missing_roots: operators waited for that have posted no root.
        missing_haves: operators waited for that have not vouched.
        missing_answers: operators waited for that have not answered that round, nor missed a close
            of its answers.
        absent: operators that are not waited for and have not answered.
        erasures: operators whose answers are off the polynomial of a degree-t opening.
    """

    name: BatchName
    state: BatchState
    context: str = ""
    round: int = -1
    decoder: int = 0
    decoded: bool = False
    challenge_from: int = -1
    v_root: str = ""
    haves: int = 0
    haves_needed: int = 0
    failed: bool = False
    v_unknown: bool = False
    missing_roots: tuple[int, ...] = ()
    missing_haves: tuple[int, ...] = ()
    missing_answers: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()
    erasures: tuple[int, ...] = ()


def next_step(status: BatchStatus) -> NextStep:  # noqa: PLR0911 - one line per step of the opening
    """Suggest what has to happen next for this batch.

    "wait": its context is not known yet. "share": roots are awaited. "decode": the decoder's entry
    is. "vouch": too few operators hold v. "answer": answers are awaited. "fetch": this party must
    fetch v to see the verdict. "settled": nobody is waited for. "blame": somebody lied.
    """
    if status.state in (BatchState.MISFIT, BatchState.DEAD):
        return "blame"
    if status.state is BatchState.WAITING:
        return "wait"
    held = status.state in (BatchState.PROVISIONAL, BatchState.COMPLETE)
    if held and not status.missing_answers:
        return "settled"
    if status.round < 0:
        return "share"
    if not status.decoded:
        return "decode"
    if status.haves < status.haves_needed:
        return "vouch"
    return "fetch" if status.v_unknown and not status.missing_answers else "answer"


def judge(
    answers: Mapping[int, bytes],
    expected: bytes | None,
    *,
    vouched: bool,
    refuted: Collection[bytes],
    everyone: AbstractSet[int],
    rule: BatchRule,
    quorum: Quorum,
    arithmetic: Arithmetic,
) -> Verdict:
    """Decide what the answers of one round say (PROTOCOL.md, "Opening a batch", steps 4 to 7).

    Args:
        answers: Y by operator, those of excluded operators left out.
        expected: sum rho v, None while v is not held.
        vouched: whether n-t operators hold the v of this round. Without them nobody need be able
            to fetch v, and the round ends by its deadline.
        refuted: digests of values at 0 that are not sum rho v, as n-t operators say. That counts
            for who does not hold v; whoever does goes by v.
        everyone: operators neither excluded nor written off.
        rule: the batch.
        quorum: n and t.
        arithmetic: the ring.

    Returns:
        The verdict.

    Security: with distance n-2t lies of up to t operators are always visible when all others have
        answered. Errors are never corrected at degree 2t.
    """
    fitting = fitting_answers(answers, rule, quorum, arithmetic)
    if fitting is None:
        return Verdict.MISFIT if rule.degree == "double" else Verdict.OPEN
    if len(fitting) < rule.points(quorum) or not vouched:
        return Verdict.OPEN
    by_word = refuted and expected in (None, TAKEN)
    if by_word and digest_of_value(fitting, rule, quorum, arithmetic) in refuted:
        return Verdict.ODD_V
    if expected is None:
        return Verdict.UNKNOWN
    if not fits_value(fitting, expected, rule, quorum, arithmetic):
        return Verdict.ODD_V
    return Verdict.COMPLETE if everyone <= answers.keys() else Verdict.PROVISIONAL


def fits_value(
    fitting: Mapping[int, bytes],
    expected: bytes,
    rule: BatchRule,
    quorum: Quorum,
    arithmetic: Arithmetic,
) -> bool:
    """Tell whether answers on one polynomial have the expected value at 0, or are taken as such."""
    degree = rule.polynomial_degree(quorum)
    return expected == TAKEN or arithmetic.value_at_zero(fitting, degree, rule) == expected


def digest_of_value(
    fitting: Mapping[int, bytes], rule: BatchRule, quorum: Quorum, arithmetic: Arithmetic
) -> bytes:
    """Return the digest of the value at 0 of answers on one polynomial, by which a close names it.

    Security: who does not hold v learns from it which answers n-t operators found at odds with v,
        whenever the close that says so comes to stand in the log.
    """
    degree = rule.polynomial_degree(quorum)
    return hashlib.sha256(arithmetic.value_at_zero(fitting, degree, rule)).digest()


def fitting_answers(
    answers: Mapping[int, bytes], rule: BatchRule, quorum: Quorum, arithmetic: Arithmetic
) -> Mapping[int, bytes] | None:
    """Return the answers that lie on one polynomial, None if too few of them do.

    At degree 2t that is all of them or none. At degree t it is the one polynomial with n-t of them:
    two such polynomials share n-2t > t points, so they are equal.
    """
    degree = rule.polynomial_degree(quorum)
    if len(answers) <= degree + 1 or arithmetic.on_one_polynomial(answers, degree, rule):
        return answers
    if rule.degree == "double":
        return None
    for chosen in combinations(sorted(answers), quorum.n_minus_t):
        points = {operator: answers[operator] for operator in chosen}
        if arithmetic.on_one_polynomial(points, degree, rule):
            return {
                operator: value
                for operator, value in answers.items()
                if operator in points
                or arithmetic.on_one_polynomial({**points, operator: value}, degree, rule)
            }
    return None
