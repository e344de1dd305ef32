"""The public result of a ceremony as plain files: plan, key set and transcript."""

from __future__ import annotations

from infra.publish.files import publish, rejected_roots

__all__ = ["publish", "rejected_roots"]
