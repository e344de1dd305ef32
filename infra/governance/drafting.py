"""`ringforge plan new`: a plan from answers; what nobody has to choose follows from them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from infra.plan.document import PlanDocument, check
from infra.plan.layouts import cut_of
from infra.plan.rules import check_size
from infra.plan.sandbox import LIMITS, tests_of
from infra.plan.sections import (
    AuditorSection,
    CoordinatorSection,
    DeadlineSection,
    DecisionSection,
    DeputySection,
    OperatorSection,
    RepresentativeSection,
    RetentionSection,
    RevisionSection,
)
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from infra.governance.answers import Answers, DeadlineAnswers

__all__ = ["draft"]

WAITING_SECONDS = 3600.0
RETENTION = RetentionSection(transcript_days=3653, evidence_days=3653, vault_days_after_abort=30)


def draft(answers: Answers, previous: PlanDocument | None = None) -> PlanDocument:
    """Return the plan that follows from answers.

    Args:
        answers: what people chose.
        previous: the plan that this one takes the place of, as its next version.

    Raises:
        CeremonyError: RF-PLAN-* if there can be no such plan.
    """
    chosen = lookup(answers.parameters)
    cut = cut_of(chosen)
    count, threshold = len(answers.operators), answers.threshold
    check_size(count, threshold)
    parties = (
        *answers.operators,
        answers.coordinator,
        *answers.deputies,
        *answers.representatives,
        *answers.auditors,
    )
    keys = {party.name: party.ml_dsa_key for party in parties if party.ml_dsa_key is not None}
    document = PlanDocument(
        version=1,
        ceremony_id=previous.ceremony_id if previous else secrets.token_hex(16),
        parameters=answers.parameters,
        sandbox=answers.sandbox,
        insecure=(),
        without_enclaves=answers.without_enclaves,
        threshold=threshold,
        revision=_revision(previous),
        coordinator=CoordinatorSection(identity_key=answers.coordinator.identity_key),
        deadlines=_deadlines(answers.deadlines, cut.step_seconds),
        layout=cut.layout,
        limits=LIMITS,
        tests=tests_of(chosen),
        measurement=answers.measurement,
        decisions=answers.decisions or _decisions(count, threshold),
        retention=answers.retention or RETENTION,
        operators=tuple(
            OperatorSection(
                index=index, **party.model_dump(exclude={"ml_dsa_key"}, exclude_none=True)
            )
            for index, party in enumerate(answers.operators, 1)
        ),
        deputies=tuple(
            DeputySection(name=party.name, identity_key=party.identity_key)
            for party in answers.deputies
        ),
        representatives=tuple(
            RepresentativeSection(
                name=party.name, operator=party.speaks_for, identity_key=party.identity_key
            )
            for party in answers.representatives
        ),
        auditors=tuple(
            AuditorSection(name=party.name, identity_key=party.identity_key)
            for party in answers.auditors
        ),
        ml_dsa_keys=keys or None,
    )
    check(document)
    return document


def _revision(previous: PlanDocument | None) -> RevisionSection | None:
    if previous is None:
        return None
    return RevisionSection(number=previous.number + 1, previous=previous.hash.hex())


def _deadlines(answers: DeadlineAnswers, step_seconds: float) -> DeadlineSection:
    return DeadlineSection(
        step_seconds=answers.step_seconds or step_seconds,
        waiting_seconds=answers.waiting_seconds or WAITING_SECONDS,
        extension_seconds=answers.extension_seconds,
        clock_seconds=answers.clock_seconds,
    )


def _decisions(count: int, threshold: int) -> DecisionSection:
    """Return what is decided by whom unless people choose: n-t, and t+1 may call a pause."""
    quorum = count - threshold
    return DecisionSection(write_off=quorum, extension=quorum, pause=threshold + 1, abort=quorum)
