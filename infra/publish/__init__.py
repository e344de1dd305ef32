"""The public result of a ceremony as plain files: plan, key set and transcript."""

from __future__ import annotations

from infra.publish.files import kept_batches, publish, rejected_roots
from infra.publish.manifest import Keeps
from infra.publish.opened import Opened

__all__ = ["Keeps", "Opened", "kept_batches", "publish", "rejected_roots"]
