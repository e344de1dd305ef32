"""The plan and the layout as the state machine wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from activities import looks
from activities.arithmetic import KnownValues, LearnedArithmetic, Question
from infra.stores import StoredBefore
from mpc_core.preprocessing.layout import build_layout
from mpc_core.protocol.batch import BatchRule
from mpc_core.protocol.state import CeremonyState
from mpc_core.ring.exact import degree_for
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infra.homes import Home
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.attestations import Examine
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.entries import LogEntry
    from mpc_core.protocol.plan import Plan

__all__ = ["batch_counts", "batch_rules", "examiner_for", "layout_of", "party_state", "past_state"]

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
        examine=examiner_for(plan),
    )


def examiner_for(plan: Plan) -> Examine | None:
    """Return what judges the documents on the log of a plan, None if it asks for none."""
    if plan.attestation is None:
        return None
    from infra.enclave.peers import examiner_of  # noqa: PLC0415 - few plans ask for it

    return examiner_of(plan)


def past_state(
    home: Home, plan: Plan, layout: CeremonyLayout, log: Iterable[LogEntry]
) -> CeremonyState:
    """Return the state of a log that this process only reads, with what its party has learned.

    What the party itself took as the signers of the seal found it is taken so here too.
    """
    known = KnownValues(plan.hash, StoredBefore(home.work / "steps"))
    state = party_state(plan, layout, known)
    for entry in log:
        state.apply(entry)
    while granted := _sealed_unknown(state):
        for question in granted:
            known.take_for_granted(question)
    return state


def _sealed_unknown(state: CeremonyState) -> list[Question]:
    return [
        Question.of(opening.context, turn)
        for opening in state.awaiting
        if looks.others_sealed(state, opening.rule.key)
        for turn in opening.awaited
    ]


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
