"""Products of key bits: kept packed, of degree t, equal to s_i S_j."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from mpc_core.preprocessing.products import ProductRun, product_share_vector, product_shares
from tests.support.committee import Committee

if TYPE_CHECKING:
    from mpc_core.ring.galois import Ring


def deal(committee: Committee, secrets: list[int], ring: Ring, rng: random.Random):
    """Share integers by random polynomials of degree t over the ring."""
    exact = ring.exact
    shares: dict[int, list[tuple[int, ...]]] = {i: [] for i in committee.operators}
    for secret in secrets:
        coefficients = [exact.scale(exact.one, secret)] + [
            exact.element(rng.getrandbits(ring.bits) for _ in range(ring.degree))
            for _ in range(committee.t)
        ]
        for i in committee.operators:
            powers = [exact.power(exact.point(i), k) for k in range(committee.t + 1)]
            shares[i].append(exact.combine(coefficients, powers))
    return {i: ring.from_exact(values) for i, values in shares.items()}


@pytest.mark.parametrize(("n", "t"), [(4, 1), (7, 2), (13, 4)])
@pytest.mark.parametrize("bits", [64, 128])
def test_products_of_shared_bits_are_shared_at_degree_t(n: int, t: int, bits: int) -> None:
    committee = Committee(n, t)
    ring = committee.ring(bits)
    rng = random.Random(f"{n} {bits}")
    length, polynomials, inputs = 10, 2, 3
    small = [1, 0, 1]
    key = [rng.getrandbits(1) for _ in range(length * polynomials)]
    small_shares = deal(committee, small, ring, rng)
    key_shares = deal(committee, key, ring, rng)
    masks = {i: committee.keys(i, "m", "product", bits) for i in committee.operators}

    def runs(i: int) -> list[ProductRun]:
        """Rows 1..5 of the object, cut in two: the first input bit enters with one row only."""
        return [
            ProductRun(small_shares[i][0:2], key_shares[i], length, 1, 2),
            ProductRun(small_shares[i][1:3], key_shares[i], length, 3, 3),
        ]

    vectors = {
        i: product_share_vector(masks[i], committee.keys(i, "m", "zero", bits), i, runs(i), ring)
        for i in committee.operators
    }
    row_elements = -(-length // ring.degree)
    exact = ring.exact
    values = {i: ring.to_exact(vector) for i, vector in vectors.items()}
    assert exact.vectors_lie_on_polynomial(values, 2 * t)
    assert not exact.vectors_lie_on_polynomial(values, 2 * t - 1)

    w = committee.open_double(vectors, ((0, 5 * row_elements),), ring)
    shares = {i: product_shares(masks[i], i, w, ring) for i in committee.operators}
    products = committee.reveal(shares, ring)

    assert inputs * polynomials == 6
    for place, row in enumerate(range(1, 6)):
        i, r = divmod(row, polynomials)
        packed = products[place * row_elements : (place + 1) * row_elements]
        found = [coefficient for element in packed for coefficient in element]
        expected = [small[i] * bit for bit in key[r * length : (r + 1) * length]]
        padding = row_elements * ring.degree - length
        assert found == expected + [0] * padding


def test_what_is_opened_is_masked_in_every_coefficient() -> None:
    committee = Committee(4, 1)
    ring = committee.ring(64)
    rng = random.Random(1)
    zeros = deal(committee, [0] * 12, ring, rng)

    def opened(zero_stream: str):
        vectors = {
            i: product_share_vector(
                committee.keys(i, "m", "product", 64),
                committee.keys(i, "m", zero_stream, 64),
                i,
                [ProductRun(zeros[i][:1], zeros[i], 12, 0, 1)],
                ring,
            )
            for i in committee.operators
        }
        return vectors, committee.open_double(vectors, ((0, 4),), ring)

    vectors, w = opened("zero")
    others, same = opened("other zeros")

    assert (w >> 32).all()  # twelve uniform words, none of them small
    assert (w == same).all()
    assert all((vectors[i] != others[i]).all() for i in committee.operators)
