"""What the end of a ceremony costs one operator, computed from measured samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.bench.model import AssemblyCost
from infra.estimate.kernels import measure_export, measure_rows
from infra.estimate.work import key_set_bytes

if TYPE_CHECKING:
    from infra.bench.subject import Subject

__all__ = ["measure_assembly"]


def measure_assembly(subject: Subject) -> AssemblyCost:
    """Measure some rows of every public object and the export of small key files; scale both."""
    rows = {item.number: measure_rows(subject, item) for item in subject.objects}
    return AssemblyCost(
        parameters=subject.parameters.name,
        operators=subject.plan.count,
        bodies=subject.layout.body_count,
        shares_seconds=sum(rows[item.number] * item.rows for item in subject.objects),
        export_seconds=key_set_bytes(subject.parameters) * measure_export(),
    )
