"""What all parties of a drill share: the plan, the keys it was made from, the log, the clock."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from infra.drill.arithmetic import MemoisedArithmetic
from infra.enclave.insecure_software import Authority
from infra.party.rules import batch_rules, examiner_for, layout_of
from infra.plan import SetupSeed
from infra.plan.sandbox import sandbox_plan
from mpc_core.protocol.state import CeremonyState
from mpc_core.tfhe.parameters import DRILL_SET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from activities.arithmetic import KnownValues
    from infra.drill.arithmetic import SharedArithmetic
    from infra.drill.board import MemoryBoard
    from infra.drill.clock import Clock
    from infra.drill.peers import Reachable
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.plan import Plan

__all__ = ["BEGIN", "SEED", "Parties", "Site", "drill_state", "parties_elsewhere", "parties_of"]

_OTHER_WAITING_SECONDS = 21.0
BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""When drills begin, by the clocks of enclaves."""

SEED = "00112233445566778899aabbccddeeff"
"""From which the keys and the contributions of all drills follow."""


class Site(Protocol):
    """A ceremony as its operators need it."""

    plan: Plan
    layout: CeremonyLayout
    identities: Mapping[str, Ed25519PrivateKey]
    seeds: Mapping[str, SetupSeed]
    root: Authority | None

    @property
    def board(self) -> MemoryBoard:
        """The log."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    def reach(self, index: int) -> Reachable | None:
        """Return a party that is up; 0 is the coordinator."""
        ...


@dataclass(frozen=True, slots=True)
class Parties:
    """A plan with its layout, and what each party keeps in its vault, by name.

    Where the plan asks for enclaves, `root` is what stands in for AWS's.
    """

    plan: Plan
    layout: CeremonyLayout
    identities: Mapping[str, Ed25519PrivateKey]
    seeds: Mapping[str, SetupSeed]
    root: Authority | None = None


@lru_cache(maxsize=64)
def parties_of(
    n: int,
    t: int,
    *,
    parameters: str = DRILL_SET,
    seed: str = SEED,
    waiting_seconds: float = 20.0,
    hybrid: bool = False,
    layout: tuple[tuple[str, int], ...] = (),
    enclave: bool = False,
) -> Parties:
    """Make the parties of a drill; the same arguments give the same parties.

    Args:
        n: number of operators.
        t: how many may crash or lie.
        parameters: name of the parameter set.
        seed: setup seed, in hex.
        waiting_seconds: the plan's waiting time.
        hybrid: whether identities are of two keys, as those of processes; nothing here uses both.
        layout: fields of the plan's layout that are to be different.
        enclave: whether the plan asks for enclaves.
    """
    root = Authority.create(BEGIN - dt.timedelta(days=2)) if enclave else None
    made = sandbox_plan(
        operators=n,
        threshold=t,
        parameters=parameters,
        waiting_seconds=waiting_seconds,
        seed=SetupSeed.parse(seed),
        drill=parameters == DRILL_SET,
        hybrid=hybrid,
        enclave=root,
    )
    plan = made.signed.plan
    plan = replace(plan, layout=replace(plan.layout, **dict(layout)))
    return Parties(plan, layout_of(plan), made.identities, made.seeds, root)


def drill_state(
    plan: Plan, layout: CeremonyLayout, known: KnownValues, shared: SharedArithmetic
) -> CeremonyState:
    """Return the state of an empty log at a party that shares its arithmetic with others."""
    return CeremonyState(
        plan,
        batch_rules(layout),
        MemoisedArithmetic(known, shared),
        acceptance_floods=len(plan.tests.plaintexts),
        examine=examiner_for(plan),
    )


def parties_elsewhere(n: int, t: int) -> Parties:
    """Return the same parties with the same keys under another plan, which has another hash."""
    return parties_of(n, t, waiting_seconds=_OTHER_WAITING_SECONDS)
