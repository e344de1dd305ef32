"""What only a test may do: put the operators' final key shares together and look at the key set."""

from __future__ import annotations

import json
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from activities.seal import KEY_SHARE
from mpc_core.ring.galois import Ring, degree_for
from mpc_core.tfhe.objects import secret_keys
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tests.support.simulation import Ceremony, Party

_HEADER = 64
"""A share file begins with the root of its opening and its digest."""


def final_shares(party: Party, batch, ring: Ring) -> NDArray[np.uint64]:
    """Return the key shares of a batch of S that an operator keeps for good."""
    manifest = json.loads(party.vault.read(KEY_SHARE))
    (name,) = (
        name
        for name in manifest["shares"]["bits"]
        if name.partition(".")[0] == f"S-{batch.index:04d}"
    )
    data = np.frombuffer(party.vault.read(f"shares/{name}")[_HEADER:], np.uint64)
    return data.reshape(ring.shape(-1))


def key_of(ceremony: Ceremony, operators: tuple[int, ...]) -> dict[str, NDArray[np.uint64]]:
    """Return the bits of every secret key, interpolated from the shares of these operators."""
    plan = ceremony.plan
    specs = secret_keys(lookup(plan.parameters))
    secrets = {spec.name: np.full(spec.bits, 2, dtype=np.uint64) for spec in specs}
    for batch in ceremony.layout.secrets:
        ring = Ring(batch.word_bits, degree_for(plan.count))
        shares = {
            index: ring.to_exact(final_shares(ceremony.party(index), batch, ring))
            for index in operators
        }
        assert ring.exact.vectors_lie_on_polynomial(shares, plan.threshold)
        bits = ring.exact.vector_at_zero(shares, plan.threshold)
        assert all(bit in (ring.exact.zero, ring.exact.one) for bit in bits)
        words = np.array([bit[0] for bit in bits], dtype=np.uint64)
        at = 0
        for segment in batch.segments:
            part = words[at : at + segment.count]
            secrets[specs[segment.item].name][segment.start : segment.start + part.size] = part
            at += segment.count
    assert all(bits.max() < 2 for bits in secrets.values())
    return secrets


def smallest_groups(ceremony: Ceremony, operators: tuple[int, ...]):
    """Return every group of t+1 of these operators."""
    return combinations(operators, ceremony.plan.threshold + 1)


def same_key(one: Mapping[str, NDArray[np.uint64]], other: Mapping[str, NDArray[np.uint64]]):
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def chi_square(noise: NDArray[np.int64], bound_log2: int, buckets_log2: int = 4) -> float:
    """Return chi^2 of TUniform(b) samples in 2^buckets_log2 ranges of equal weight.

    The two ends count half, so the top end goes to the first range: every range then has the
    weight of 2^(b+1) / buckets whole values.
    """
    width = bound_log2 + 1 - buckets_log2
    places = ((noise + (1 << bound_log2)) & ((2 << bound_log2) - 1)) >> width
    counts = np.bincount(places, minlength=1 << buckets_log2)
    expected = noise.size / (1 << buckets_log2)
    return float(((counts - expected) ** 2 / expected).sum())
