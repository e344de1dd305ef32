"""Whether this machine's clock is right: the clocks of the others say, and the security module.

The protocol compares no clocks. Ages of attestation documents do, so an operator whose clock is
wrong refuses everybody and is refused. It is told before that, by two measurements:

- every answer of a peer carries the time by that peer's clock (`Date`), which was read between the
  question and the answer, so it bounds the difference of both clocks. It comes over the connection
  that proves who the peer is, and the peer may lie;
- every document carries the time that the enclave's security module signed, between the question
  to the module and its answer. The plan's root stands for that, and the machine's owner cannot move
  it (runbooks/adr/0033).

Security: what more than t others say of this clock at least one honest one says. t liars can make
    nobody doubt its own clock, and one that lies is named as one whose clock differs. Nothing is
    set, and nothing follows by rule: people put a clock right.
"""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import PageErrors

if TYPE_CHECKING:
    from collections.abc import Callable

    from mpc_core.protocol.errors import CeremonyError
    from mpc_core.protocol.plan import Plan

__all__ = ["Ahead", "Clocks", "ahead"]

DATE_RESOLUTION = dt.timedelta(seconds=1)
"""What a `Date` leaves out."""

MODULE_RESOLUTION = dt.timedelta(milliseconds=1)

clock_error = PageErrors(
    effect="nothing is set by itself; documents of attestation may be taken for old",
    runbook="clock-skew",
)
"""Makes errors of area CLOCK."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """How far another clock is ahead of ours: at least, and at most."""

    least: dt.timedelta
    most: dt.timedelta

    def beyond(self, bound: dt.timedelta) -> int:
        """Return 1 if it is surely ahead by more than a bound, -1 if behind, else 0."""
        return (self.least > bound) - (self.most < -bound)

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.least.total_seconds():+.1f} to {self.most.total_seconds():+.1f} s"


def ahead(
    asked: dt.datetime, answered: dt.datetime, told: dt.datetime, resolution: dt.timedelta
) -> Ahead:
    """Return how far a clock is ahead that was read between question and answer.

    Args:
        asked: our time before.
        answered: our time after.
        told: what it showed, rounded down.
        resolution: by less than this.
    """
    return Ahead(told - answered, told + resolution - asked)


class Clocks:
    """What is known of other clocks, and what follows for ours; several threads may use it."""

    def __init__(self, plan: Plan, name: str, report: Callable[[CeremonyError], None]) -> None:
        """Know nothing yet.

        Args:
            plan: the signed plan, which says how far clocks may differ.
            name: this party's.
            report: takes every verdict once.
        """
        self._plan, self._name = plan, name
        self._bound = dt.timedelta(seconds=plan.deadlines.clock_seconds)
        self._operators = {each.name for each in plan.operators} - {name}
        self._report = report
        self._guard = threading.Lock()
        self._known: dict[str, Ahead] = {}
        self._said: dict[str, int] = {}

    def heard(self, peer: str, asked: dt.datetime, answered: dt.datetime, date: str) -> None:
        """Take the `Date` of a peer's answer; one that is none says nothing."""
        try:
            told = parsedate_to_datetime(date)
        except ValueError:
            return
        if told.tzinfo is None or peer not in self._operators:
            return
        with self._guard:
            self._known[peer] = ahead(asked, answered, told, DATE_RESOLUTION)
            self._judge()

    def signed(self, asked: dt.datetime, answered: dt.datetime, told: dt.datetime) -> None:
        """Take the time that the security module signed in a document."""
        found = ahead(asked, answered, told, MODULE_RESOLUTION)
        with self._guard:
            if self._is_news("", found.beyond(self._bound)):
                self._report(self._wrong("RF-CLOCK-002", "that of its security module", found))

    def differing(self) -> dict[str, Ahead]:
        """Return operators whose clock surely differs from ours by more than the plan allows."""
        with self._guard:
            return {name: found for name, found in self._known.items() if found.beyond(self._bound)}

    def _judge(self) -> None:
        verdicts = {name: found.beyond(self._bound) for name, found in self._known.items()}
        ours = next((side for side in (1, -1) if self._doubted(verdicts, side)), 0)
        for name, verdict in verdicts.items():
            if self._is_news(name, 0 if ours else verdict):
                self._report(self._differs(name, self._known[name]))
        if self._is_news(self._name, ours):
            told = sorted(name for name, verdict in verdicts.items() if verdict == ours)
            found = self._known[told[0]]
            self._report(self._wrong("RF-CLOCK-001", f"those of {', '.join(told)}", found))

    def _doubted(self, verdicts: dict[str, int], side: int) -> bool:
        """Tell whether an honest operator is among those that say the same against our clock."""
        return sum(verdict == side for verdict in verdicts.values()) > self._plan.threshold

    def _is_news(self, subject: str, verdict: int) -> bool:
        """Note a verdict; tell whether it is one to report and was not the last one."""
        before, self._said[subject] = self._said.get(subject, 0), verdict
        return verdict not in {0, before}

    def _wrong(self, code: str, whose: str, found: Ahead) -> CeremonyError:
        return clock_error(
            code,
            f"the clock of {self._name} differs from {whose}",
            f"less than {self._bound.total_seconds():.0f} s, as the plan says",
            f"that one is ahead by {found}",
            "put this machine's clock right; an enclave has the clock of its host",
            operator=self._name,
        )

    def _differs(self, name: str, found: Ahead) -> CeremonyError:
        return clock_error(
            "RF-CLOCK-003",
            f"the clock of {name} differs from ours",
            f"less than {self._bound.total_seconds():.0f} s, as the plan says",
            f"it is ahead by {found}",
            f"tell the people of {name}; more than t such operators, and ours is the wrong one",
            operator=name,
        )
