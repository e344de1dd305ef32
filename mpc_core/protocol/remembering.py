"""Arithmetic that answers a question once: the log is judged again and again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpc_core.protocol.batch import Arithmetic, BatchKey, BatchRule

    _Points = tuple[BatchKey, int, tuple[tuple[int, bytes], ...]]

__all__ = ["Remembering"]


@dataclass(slots=True)
class Remembering:
    """An `Arithmetic` around another. An unknown v is asked for again, a known one is not."""

    inner: Arithmetic
    _fits: dict[_Points, bool] = field(default_factory=dict)
    _values: dict[_Points, bytes] = field(default_factory=dict)
    _expected: dict[tuple[bytes, int, bytes, bytes], bytes] = field(default_factory=dict)

    def on_one_polynomial(self, answers: Mapping[int, bytes], degree: int, rule: BatchRule) -> bool:
        """Tell whether all answers lie on one polynomial of at most this degree."""
        points = (rule.key, degree, tuple(sorted(answers.items())))
        if points not in self._fits:
            self._fits[points] = self.inner.on_one_polynomial(answers, degree, rule)
        return self._fits[points]

    def value_at_zero(self, answers: Mapping[int, bytes], degree: int, rule: BatchRule) -> bytes:
        """Interpolate answers that lie on one polynomial; return its value at 0."""
        points = (rule.key, degree, tuple(sorted(answers.items())))
        if points not in self._values:
            self._values[points] = self.inner.value_at_zero(answers, degree, rule)
        return self._values[points]

    def expected(
        self, rule: BatchRule, context_id: bytes, round_number: int, log_root: bytes, v_root: bytes
    ) -> bytes | None:
        """Return sum rho v, or None while this party does not hold this v."""
        place = (context_id, round_number, log_root, v_root)
        if place not in self._expected:
            value = self.inner.expected(rule, *place)
            if value is None:
                return None
            self._expected[place] = value
        return self._expected[place]
