"""The polynomials of the log's verdicts, computed once for all parties of a drill.

Every party asks the same about the same answers. What differs between them is which opened values
they hold: that stays each party's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from activities.arithmetic import LearnedArithmetic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpc_core.protocol.batch import BatchRule

__all__ = ["MemoisedArithmetic", "SharedArithmetic"]

_Question = tuple[frozenset[tuple[int, bytes]], int, int, int]


@dataclass
class SharedArithmetic:
    """What was computed, by question."""

    fits: dict[_Question, bool] = field(default_factory=dict)
    values: dict[_Question, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MemoisedArithmetic(LearnedArithmetic):
    """One party's arithmetic, which looks first whether another party has computed it."""

    shared: SharedArithmetic = field(default_factory=SharedArithmetic)

    def on_one_polynomial(self, answers: Mapping[int, bytes], degree: int, rule: BatchRule) -> bool:
        """Tell whether all answers lie on one polynomial of at most this degree."""
        question = _question(answers, degree, rule)
        if question not in self.shared.fits:
            self.shared.fits[question] = LearnedArithmetic.on_one_polynomial(
                self, answers, degree, rule
            )
        return self.shared.fits[question]

    def value_at_zero(self, answers: Mapping[int, bytes], degree: int, rule: BatchRule) -> bytes:
        """Return the value at 0 of answers that lie on one polynomial, encoded as an answer."""
        question = _question(answers, degree, rule)
        if question not in self.shared.values:
            self.shared.values[question] = LearnedArithmetic.value_at_zero(
                self, answers, degree, rule
            )
        return self.shared.values[question]


def _question(answers: Mapping[int, bytes], degree: int, rule: BatchRule) -> _Question:
    return (frozenset(answers.items()), degree, rule.word_bits, rule.ring_degree)
