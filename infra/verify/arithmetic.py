"""The arithmetic of an auditor, who may have fewer opened values than the operators had.

Whether the answers of a round fit with the opened value v takes v. Where a transcript does not keep
it, the auditor goes by what the operators made of it: answers that lie on one polynomial count as
fitting with v ("taken"), unless n-t operators say in the log that they do not. The verdict lists
this as not repeated. It is worth something only under the seal, which is checked: n-t operators
sealed this very log after they had found every batch complete, each with v at hand.

Security: batches in which answers ever refuted a value are kept, with every value that their rounds
    named. In any other batch the operators judged every round as fitting, as soon as n-t of them
    vouched for it and 2t+1 answered; so the auditor judges every round at every prefix of the log
    as they did. A coordinator that leaves a refuted value out hides neither the round that failed
    nor what followed: n-t operators say so in the log, which it cannot change, and nothing is
    sealed before that. The auditor misses the value then and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.verify.opened import Claim, sum_of
from mpc_core.protocol.batch import TAKEN
from mpc_core.ring.exact import ExactRing
from mpc_core.sharing.answers import answers_on_polynomial, value_of_answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.verify.evidence import Rules
    from infra.verify.openings import Openings
    from mpc_core.protocol.batch import BatchRule

__all__ = ["AuditArithmetic"]


@dataclass(frozen=True, slots=True)
class AuditArithmetic:
    """Polynomials over GR(2^K, d), and sum rho v of the opened values that are here."""

    rules: Rules
    openings: Openings

    def on_one_polynomial(self, answers: Mapping[int, bytes], degree: int, rule: BatchRule) -> bool:
        """Tell whether all answers lie on one polynomial of at most this degree."""
        return answers_on_polynomial(answers, degree, _ring(rule))

    def value_at_zero(self, answers: Mapping[int, bytes], degree: int, rule: BatchRule) -> bytes:
        """Return the value at 0 of answers that lie on one polynomial, encoded as an answer."""
        return value_of_answers(answers, degree, _ring(rule))

    def expected(
        self, rule: BatchRule, context_id: bytes, round_number: int, log_root: bytes, v_root: bytes
    ) -> bytes | None:
        """Return sum rho v, encoded as an answer, or None while this v is not here.

        Raises:
            CeremonyError: RF-BATCH-002 or -003, if it is no opening of that batch.
        """
        if rule.key in self.openings.taken:
            return TAKEN
        found = self.openings.find(v_root)
        if found is None:
            return None
        claim = Claim(rule.key, context_id, round_number, log_root)
        known = found.sums.get(claim)
        if known is not None:
            return known
        return sum_of(self.rules, claim, self.openings.evidence.view(found.record.path))


def _ring(rule: BatchRule) -> ExactRing:
    return ExactRing(rule.word_bits, rule.ring_degree)
