"""INSECURE, for drills only: put final key shares together, to see whether they are one key.

Security: whoever does this holds the secret key. Drills work with a setup seed that everybody
    knows; a plan without one is refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

import numpy as np

from activities.seal import KEY_SHARE
from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.galois import Ring, degree_for
from mpc_core.tfhe.objects import secret_keys
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from infra.drill.stores import MemoryStore
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.plan import Plan

__all__ = ["Vaulted", "final_shares", "insecurely_joined_key", "same_key"]

_HEADER = 64
"""A share file begins with the root of its opening and its digest."""

Bits = dict[str, "NDArray[np.uint64]"]


class Vaulted(Protocol):
    """An operator of a drill."""

    vault: MemoryStore


def final_shares(party: Vaulted, batch: BatchLayout, ring: Ring) -> NDArray[np.uint64]:
    """Return the key shares of a batch of S that an operator keeps for good."""
    names = json.loads(_kept(party, KEY_SHARE))["shares"]["bits"]
    (name,) = (each for each in names if each.partition(".")[0] == f"S-{batch.index:04d}")
    data = np.frombuffer(_kept(party, f"shares/{name}")[_HEADER:], np.uint64)
    return data.reshape(ring.shape(-1))


def insecurely_joined_key(
    plan: Plan, layout: CeremonyLayout, parties: Mapping[int, Vaulted]
) -> Bits:
    """Return the bits of every secret key, interpolated from the shares of these operators.

    Raises:
        CeremonyError: RF-DRILL-005 for a plan whose secrets nobody knows, RF-DRILL-004 if the
            shares are not those of one binary key.
    """
    if not plan.sandbox or "setup-seed" not in plan.insecure:
        raise _error("RF-DRILL-005", "a plan with an insecure setup seed", "another plan")
    specs = secret_keys(lookup(plan.parameters))
    secrets = {spec.name: np.full(spec.bits, 2, dtype=np.uint64) for spec in specs}
    for batch in layout.secrets:
        words = _bits(plan, batch, parties)
        at = 0
        for segment in batch.segments:
            part = words[at : at + segment.count]
            secrets[specs[segment.item].name][segment.start : segment.start + part.size] = part
            at += segment.count
    return secrets


def same_key(
    one: Mapping[str, NDArray[np.uint64]], other: Mapping[str, NDArray[np.uint64]]
) -> bool:
    """Tell whether two keys have the same bits."""
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def _bits(plan: Plan, batch: BatchLayout, parties: Mapping[int, Vaulted]) -> NDArray[np.uint64]:
    ring = Ring(batch.word_bits, degree_for(plan.count))
    shares = {
        index: ring.to_exact(final_shares(party, batch, ring)) for index, party in parties.items()
    }
    if not ring.exact.vectors_lie_on_polynomial(shares, plan.threshold):
        raise _error("RF-DRILL-004", "shares on one polynomial of degree t", "others")
    bits = ring.exact.vector_at_zero(shares, plan.threshold)
    if not all(bit in {ring.exact.zero, ring.exact.one} for bit in bits):
        raise _error("RF-DRILL-004", "bits", "something else")
    return np.array([bit[0] for bit in bits], dtype=np.uint64)


def _kept(party: Vaulted, name: str) -> bytes:
    data = party.vault.read(name)
    if data is None:
        raise _error("RF-DRILL-004", f"{name} in the vault", "nothing")
    return data


def _error(code: str, expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        code,
        "the final key shares of a drill do not make a key",
        expected=expected,
        found=found,
        effect="the drill has found a defect",
        next_step="replay the schedule and report it",
        runbook="drills",
    )
