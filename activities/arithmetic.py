"""The arithmetic that the state machine asks for, and the opened values it is about.

What the answers to a challenge must have at 0, sum rho v, takes a pass over a whole opened value. A
party of a ceremony makes that pass once, when the value arrives, outside its log, and keeps the
result: it can follow the log then without the value.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from mpc_core.protocol.batch import TAKEN
from mpc_core.ring.exact import ExactRing
from mpc_core.ring.galois import Ring
from mpc_core.sharing.answers import answers_on_polynomial, value_of_answers
from mpc_core.sharing.challenge import answer_for, challenge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from activities.ports import Store
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.protocol.batch import BatchRule
    from mpc_core.protocol.opening import Round

__all__ = ["KnownValues", "LearnedArithmetic", "Question"]

_DIGEST = 32


@dataclass(frozen=True, slots=True)
class Question:
    """What names a challenge of an opened value: context, round, log prefix, root of v."""

    context: bytes
    round: int
    log_root: bytes
    v_root: bytes

    @classmethod
    def of(cls, context: bytes, turn: Round) -> Self:
        """Return the challenge of a round that has a decoder's entry."""
        assert turn.decoded is not None
        return cls(context, turn.number, turn.log_root, turn.decoded.root)

    @property
    def name(self) -> str:
        """Return a name for a store."""
        return f"expected/{self.context.hex()}-{self.round}"


@dataclass(frozen=True, slots=True)
class KnownValues:
    """sum rho v of the opened values that this party has held, kept across restarts."""

    plan_hash: bytes
    store: Store
    _values: dict[Question, bytes] = field(default_factory=dict)
    _granted: set[Question] = field(default_factory=set)

    def take_for_granted(self, question: Question) -> None:
        """Go by what n-t operators found of a value that nobody serves any more.

        Security: only for values below a seal, which n-t operators signed.
        """
        self._granted.add(question)

    def is_granted(self, question: Question) -> bool:
        """Tell whether this value is taken as the operators found it."""
        return question in self._granted

    def find(self, question: Question) -> bytes | None:
        """Return sum rho v, encoded as an answer, or None while this party never held this v."""
        if question not in self._values:
            kept = self.store.read(question.name)
            bound = question.log_root + question.v_root
            if kept is None or not kept.startswith(bound):
                return None
            value = kept[len(bound) : -_DIGEST]
            if kept[-_DIGEST:] != hashlib.sha256(bound + value).digest():
                return None
            self._values[question] = value
        return self._values[question]

    def learn(self, question: Question, batch: BatchLayout, v: bytes | memoryview) -> None:
        """Compute sum rho v of a value whose root was checked, and remember it."""
        if self.find(question) is not None:
            return
        ring = Ring(batch.word_bits, batch.degree)
        drawn = challenge(self.plan_hash, question.context, question.round, question.log_root)
        value = answer_for(drawn, v, batch.element_groups, ring)
        kept = question.log_root + question.v_root + value
        self.store.write(question.name, kept + hashlib.sha256(kept).digest(), durable=False)
        self._values[question] = value

    def make_durable(self, question: Question) -> None:
        """Have what is known of a value survive a power loss, before the value is dropped."""
        kept = self.store.read(question.name)
        if kept is not None:
            self.store.write(question.name, kept)


@dataclass(frozen=True, slots=True)
class LearnedArithmetic:
    """Polynomials over GR(2^K, d), and expected values (PROTOCOL.md, "Opening a batch").

    A look at the log never computes sum rho v, nor waits for it.
    """

    known: KnownValues

    def on_one_polynomial(self, answers: Mapping[int, bytes], degree: int, rule: BatchRule) -> bool:
        """Tell whether all answers lie on one polynomial of at most this degree."""
        return answers_on_polynomial(answers, degree, ExactRing(rule.word_bits, rule.ring_degree))

    def value_at_zero(self, answers: Mapping[int, bytes], degree: int, rule: BatchRule) -> bytes:
        """Return the value at 0 of answers that lie on one polynomial, encoded as an answer."""
        return value_of_answers(answers, degree, ExactRing(rule.word_bits, rule.ring_degree))

    def expected(
        self, rule: BatchRule, context_id: bytes, round_number: int, log_root: bytes, v_root: bytes
    ) -> bytes | None:
        """Return sum rho v, encoded as an answer, or None while this party has not learned it."""
        del rule
        question = Question(context_id, round_number, log_root, v_root)
        value = self.known.find(question)
        return TAKEN if value is None and self.known.is_granted(question) else value
