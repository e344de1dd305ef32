"""The arithmetic that the state machine asks for, over the openings that this party holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpc_core.ring.exact import ExactRing
from mpc_core.ring.galois import Ring
from mpc_core.sharing.answers import answers_on_polynomial, value_of_answers
from mpc_core.sharing.challenge import challenge, expected_value
from mpc_core.sharing.opening import decode_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.batch import BatchRule
    from mpc_core.protocol.plan import Plan

__all__ = ["OpenedValues", "RingArithmetic"]


@dataclass(frozen=True, slots=True)
class OpenedValues:
    """Where this party looks for an opened value: its blobs, by Merkle root.

    `read` returns None while the value is not here. It never fetches: a look at the state must not
    wait for the network.
    """

    layout: CeremonyLayout
    read: Callable[[bytes], bytes | None]

    def groups(self, rule: BatchRule, size: int) -> tuple[tuple[int, int], ...]:
        """Return (weight, elements) of an opening; later decryptions are as long as they are."""
        stage = self.layout.stage(rule.stage)
        if rule.index < len(stage):
            return stage[rule.index].element_groups
        return ((0, size // (rule.ring_degree * rule.word_bits // 8)),)


@dataclass(frozen=True, slots=True)
class RingArithmetic:
    """Polynomials over GR(2^K, d), and expected values (PROTOCOL.md, "Opening a batch")."""

    plan: Plan
    opened: OpenedValues

    def on_one_polynomial(self, answers: Mapping[int, bytes], degree: int, rule: BatchRule) -> bool:
        """Tell whether all answers lie on one polynomial of at most this degree."""
        return answers_on_polynomial(answers, degree, ExactRing(rule.word_bits, rule.ring_degree))

    def value_at_zero(self, answers: Mapping[int, bytes], degree: int, rule: BatchRule) -> bytes:
        """Return the value at 0 of answers that lie on one polynomial, encoded as an answer."""
        return value_of_answers(answers, degree, ExactRing(rule.word_bits, rule.ring_degree))

    def expected(
        self, rule: BatchRule, context_id: bytes, round_number: int, log_root: bytes, v_root: bytes
    ) -> bytes | None:
        """Return sum rho v, encoded as an answer, or None while this party does not hold this v."""
        data = self.opened.read(v_root)
        if data is None:
            return None
        ring = Ring(rule.word_bits, rule.ring_degree)
        groups = self.opened.groups(rule, len(data))
        drawn = challenge(self.plan.hash, context_id, round_number, log_root)
        return expected_value(drawn, decode_words(data, groups, ring), groups, ring)
