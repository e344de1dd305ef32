"""The plan: what everybody signs before anything runs."""

from __future__ import annotations

from infra.plan.document import PlanDocument, parse_plan, render_plan
from infra.plan.keys import (
    COORDINATOR,
    SetupSeed,
    create_hybrid_identity,
    create_identity,
    load_hybrid_identity,
    load_identity,
    load_setup_seed,
    public_key_of,
    write_identity,
)
from infra.plan.signing import SignedPlan, load_signed_plan, sign_plan, write_signed_plan

__all__ = [
    "COORDINATOR",
    "PlanDocument",
    "SetupSeed",
    "SignedPlan",
    "create_hybrid_identity",
    "create_identity",
    "load_hybrid_identity",
    "load_identity",
    "load_setup_seed",
    "load_signed_plan",
    "parse_plan",
    "public_key_of",
    "render_plan",
    "sign_plan",
    "write_identity",
    "write_signed_plan",
]
