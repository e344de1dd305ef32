"""The plan and the layout as the state machine wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from activities.arithmetic import LearnedArithmetic
from mpc_core.preprocessing.layout import build_layout
from mpc_core.protocol.batch import BatchRule
from mpc_core.protocol.state import CeremonyState
from mpc_core.ring.exact import degree_for
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from activities.arithmetic import KnownValues
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.plan import Plan

__all__ = ["batch_counts", "batch_rules", "layout_of", "party_state"]

STAGES = ("N", "S", "M", "O")


def layout_of(plan: Plan) -> CeremonyLayout:
    """Return the layout of a plan."""
    parameters = lookup(plan.parameters)
    return build_layout(parameters, plan.layout, degree_for(plan.count), plan.tests)


def batch_rules(layout: CeremonyLayout) -> Mapping[BatchKey, BatchRule]:
    """Return what the state machine has to know of every batch."""
    return {
        (batch.stage, batch.index): _rule(batch)
        for stage in STAGES
        for batch in layout.stage(stage)
    }


def batch_counts(layout: CeremonyLayout) -> dict[str, int]:
    """Return the number of batches of each stage, and where the bodies end in stage O."""
    counts = {stage: len(layout.stage(stage)) for stage in STAGES}
    counts["bodies"] = 1 + sum(batch.purpose == "bodies" for batch in layout.assembly)
    return counts


def party_state(plan: Plan, layout: CeremonyLayout, known: KnownValues) -> CeremonyState:
    """Return the state of an empty log; the party learns opened values as they arrive."""
    return CeremonyState(
        plan,
        batch_rules(layout),
        LearnedArithmetic(known),
        acceptance_floods=len(plan.tests.plaintexts),
    )


def _rule(batch: BatchLayout) -> BatchRule:
    degree: Literal["double", "single"] = "double" if batch.opening == "double" else "single"
    return BatchRule(
        stage=batch.stage,
        index=batch.index,
        degree=degree,
        word_bits=batch.word_bits,
        ring_degree=batch.degree,
        dependencies=batch.dependencies,
    )
