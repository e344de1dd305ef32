"""How the process of a sandbox's operator is made to lie: a drill of real processes.

Its twin speaks where steps post entries, commit to vectors and commit to openings; all else is the
process of an honest operator.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from activities.steps import Steps
from infra.drill.lying_batches import LyingBatches
from infra.drill.thief import LIES_OF_ENCLAVES
from mpc_core.adversary.registry import ADVERSARIES
from mpc_core.adversary.twin import Twin
from mpc_core.protocol.entries import Correction
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from activities.ports import Log
    from mpc_core.protocol.entries import Entry

__all__ = ["LIES_OF_PROCESSES", "insecurely_lying"]

_NOT_ASKED = ("unasked", "repeats", "whispers", "asked", "serves", "envelope", "endorses")
"""Hooks of a twin that belong to the engine of drills in memory."""

LIES_OF_PROCESSES = tuple(
    name
    for name, adversary in ADVERSARIES.items()
    if not adversary.twin.needs_elsewhere
    and all(getattr(adversary.twin, hook) is getattr(Twin, hook) for hook in _NOT_ASKED)
)
"""The lies that a process can tell, by their names in the registry."""


def insecurely_lying(steps: Steps, lie: str) -> Steps:
    """Return the steps of an operator that lies.

    Args:
        steps: those of an honest one.
        lie: which lie, by its name in the registry; one of an enclave is not told by steps.

    Raises:
        CeremonyError: RF-DRILL-007 if the plan is no sandbox's, or processes cannot tell this lie.
    """
    if lie in LIES_OF_ENCLAVES:
        return steps
    operator = steps.operator
    if not operator.plan.sandbox or lie not in LIES_OF_PROCESSES:
        raise CeremonyError(
            "RF-DRILL-007",
            "an operator lies in drills only",
            expected=f"a plan with sandbox = true, and one of {', '.join(LIES_OF_PROCESSES)}",
            found=f"sandbox = {str(operator.plan.sandbox).lower()}, {lie[:40]!r}",
            effect="nothing was started",
            next_step="leave out --insecure-lie",
            runbook="drills",
        )
    luck = random.Random(f"liar {operator.plan.ceremony_id} {operator.index}")  # noqa: S311
    liar: Twin = ADVERSARIES[lie].twin(operator.index, luck)
    log = cast("Log", _LyingLog(operator.log, liar))
    lying = Steps.of(replace(operator, log=log), steps.meter)
    return replace(lying, batches=LyingBatches(lying.operator, liar=liar))


class _LyingLog:
    """An operator's log on which its twin posts."""

    def __init__(self, log: Log, liar: Twin) -> None:
        self._honest, self._liar = log, liar

    def __getattr__(self, name: str) -> Any:
        """Return whatever else the honest log has."""
        return getattr(self._honest, name)

    def post(self, entry: Entry) -> None:
        """Post what the twin says instead; it never admits that it was wrong."""
        if isinstance(entry, Correction):
            return
        for said in self._honest.read(lambda state: tuple(self._liar.posts(entry, state))):
            self._honest.post(said)
