"""What a batch is made of, by purpose: its share vector, and what is kept once it is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activities.work.assembly import AuditWork, BodiesWork, SeedWork
from activities.work.base import BatchWork
from activities.work.phases import AcceptanceWork, DecryptionWork
from activities.work.preprocessing import BitsWork, ProductsWork

if TYPE_CHECKING:
    from activities.operator import Operator
    from activities.work.base import Earlier
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.protocol.context import BatchContext

__all__ = ["BatchWork", "work_of"]

_BY_PURPOSE: dict[str, type[BatchWork]] = {
    "noise": BitsWork,
    "flood": BitsWork,
    "bits": BitsWork,
    "products": ProductsWork,
    "seed": SeedWork,
    "bodies": BodiesWork,
    "audit": AuditWork,
    "tests": AcceptanceWork,
    "decryption": DecryptionWork,
}


def work_of(
    operator: Operator, batch: BatchLayout, context: BatchContext, earlier: Earlier
) -> BatchWork:
    """Return the work of a batch for this operator."""
    return _BY_PURPOSE[batch.purpose](operator, batch, context, earlier)
