"""Whose share vector is served, by what operators say about one another.

PROTOCOL.md, "Opening a batch": t statements bar nobody, and t+1 that are served overrule any
number.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mpc_core.protocol.rules import require

__all__ = ["Services"]


@dataclass(slots=True)
class Services:
    """What operators say last about being served the vectors of one batch.

    Attributes:
        threshold: t.
        said: by operator that serves or not, what each of the others says.
        words: how often an author has spoken of an operator's vector.
        unserving: operators of which t+1 say that they do not serve their vector.
    """

    threshold: int
    said: dict[int, dict[int, bool]] = field(default_factory=dict)
    words: Counter[tuple[int, int]] = field(default_factory=Counter)
    unserving: set[int] = field(default_factory=set)

    def post(self, author: int, operator: int, serial: int, *, serves: bool) -> None:
        """Take an operator's word about being served a vector; its last one counts.

        Who is served by t+1 operators' word serves, whatever others say: one of them is honest.
        """
        said = self.said.setdefault(operator, {})
        require(said.get(author) is not serves, "the author has said so")
        require(
            serial == self.words[author, operator], "another word of the author is the next one"
        )
        contradicts = author in said or operator in self.unserving
        require(contradicts or not serves, "nobody says that it does not serve")
        said[author] = serves
        self.words[author, operator] += 1
        served = sum(said.values())
        refused = len(said) - served
        if refused > self.threshold >= served:
            self.unserving.add(operator)
        else:
            self.unserving.discard(operator)
