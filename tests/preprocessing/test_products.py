"""Products of key bits: kept packed, of degree t, equal to s_i S_j."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mpc_core.preprocessing import products
from mpc_core.preprocessing.products import (
    ProductRun,
    opened_product_shares,
    product_vector_pieces,
)
from mpc_core.protocol.errors import CeremonyError
from mpc_core.sharing.opening import decode_words, encode_words
from mpc_core.sharing.prss import prss_ring_share
from mpc_core.sharing.zero import zero_mask
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


def share_vector(masks, zeros, at: int, runs: list[ProductRun], ring: Ring):
    """Return the decoded share vector."""
    data = b"".join(map(bytes, product_vector_pieces(masks, zeros, at, runs, ring)))
    return decode_words(data, ((0, sum(run.count * run.row_elements(ring) for run in runs)),), ring)


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
        i: share_vector(masks[i], committee.keys(i, "m", "zero", bits), i, runs(i), ring)
        for i in committee.operators
    }
    row_elements = -(-length // ring.degree)
    exact = ring.exact
    values = {i: ring.to_exact(vector) for i, vector in vectors.items()}
    assert exact.vectors_lie_on_polynomial(values, 2 * t)
    assert not exact.vectors_lie_on_polynomial(values, 2 * t - 1)

    w = committee.open_double(vectors, ((0, 5 * row_elements),), ring)
    opening = encode_words(w, ((0, len(w)),), ring)
    shares = {i: opened_product_shares(masks[i], i, opening, ring) for i in committee.operators}
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
            i: share_vector(
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


@pytest.mark.parametrize("bits", [64, 128])
def test_masks_run_on_from_row_to_row_whatever_is_computed_at_once(bits, monkeypatch) -> None:
    """W minus P and zero mask of the whole batch is the same for chunks of one row and of all."""
    committee = Committee(4, 1)
    ring = committee.ring(bits)
    masks, zeros = (committee.keys(2, "m", stream, bits) for stream in ("product", "zero"))
    rng = np.random.default_rng(bits)
    inputs, target = (
        rng.integers(0, 2**64, ring.shape(count), dtype=np.uint64) for count in (4, 14)
    )
    runs = [ProductRun(inputs, target, 7, 0, 5), ProductRun(inputs[2:], target, 7, 5, 3)]
    elements = 8 * runs[0].row_elements(ring)
    masked = ring.add(
        prss_ring_share(masks, 2, elements, ring), zero_mask(zeros, 2, elements, ring)
    )

    vectors = []
    for chunk in (1, 6, 7, 1000):
        monkeypatch.setattr(products, "CHUNK", chunk)
        vectors.append(share_vector(masks, zeros, 2, runs, ring))

    assert all((vector == vectors[0]).all() for vector in vectors)
    plain = ring.subtract(vectors[0], masked)
    exact = ring.exact
    key, small = ring.to_exact(target), ring.to_exact(inputs)
    for row in range(8):
        bits_of_row = [*key[row % 2 * 7 : row % 2 * 7 + 7], exact.zero, exact.zero]
        for e, found in enumerate(ring.to_exact(plain[row * 3 : row * 3 + 3])):
            powers = [exact.xi_power(c) for c in range(3)]
            packed = exact.combine(powers, bits_of_row[3 * e : 3 * e + 3])
            assert found == exact.multiply(packed, small[row // 2])


@pytest.mark.parametrize("n", [4, 13])
@pytest.mark.parametrize("bits", [64, 128])
def test_vectors_come_in_pieces_and_openings_are_unmasked_span_by_span(
    n: int, bits: int, monkeypatch
) -> None:
    committee = Committee(n, (n - 1) // 3)
    ring = committee.ring(bits)
    masks, zeros = (committee.keys(1, "m", stream, bits) for stream in ("product", "zero"))
    rng = np.random.default_rng(bits)
    inputs, target = (
        rng.integers(0, 2**64, ring.shape(count), dtype=np.uint64) for count in (3, 10)
    )
    runs = [ProductRun(inputs, target, 10, 0, 3)]
    monkeypatch.setattr(products, "CHUNK", 4)

    assert len(list(product_vector_pieces(masks, zeros, 1, runs, ring))) == 3
    count = 2**19 // (ring.degree * bits // 8) + 5  # more than one span
    w = rng.integers(0, 2**64, ring.shape(count), dtype=np.uint64)
    data = b"odd" + w.tobytes()
    found = opened_product_shares(masks, 1, memoryview(data)[3:], ring)
    assert (found == ring.subtract(w, prss_ring_share(masks, 1, count, ring))).all()


def test_an_opening_of_part_of_an_element_is_refused() -> None:
    committee = Committee(4, 1)
    ring = committee.ring(64)

    with pytest.raises(CeremonyError, match="RF-BATCH-002"):
        opened_product_shares(committee.keys(1, "m", "product", 64), 1, bytes(25), ring)


def test_no_runs_have_an_empty_vector() -> None:
    committee = Committee(4, 1)
    keys = committee.keys(1, "m", "product", 64)

    assert list(product_vector_pieces(keys, keys, 1, [], committee.ring(64))) == []
