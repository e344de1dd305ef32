"""Rings, elements and batch keys that the tests of ring and sharing draw from."""

import random
from hashlib import sha256

from hypothesis import strategies as st

from mpc_core.ring.exact import Element, ExactRing
from mpc_core.ring.galois import Ring, degree_for
from mpc_core.sharing.prss import StreamKey, batch_key
from mpc_core.sharing.sets import OperatorSet, sets_of

COMMITTEES = [(n, t) for n in range(4, 14) for t in range(1, (n - 1) // 3 + 1)]
REFERENCE_COMMITTEES = [(4, 1), (7, 2), (10, 3), (13, 4)]
SMALL_COMMITTEES = [(4, 1), (5, 1), (7, 2), (8, 2), (10, 3)]
RINGS = [Ring(bits, degree) for bits in (64, 128) for degree in (1, 3, 4)]

EDGES = (0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**64, 2**127, 2**128 - 1)

seeds = st.integers(0, 2**32 - 1)
counts = st.integers(0, 13)


def random_element(draw: random.Random, ring: ExactRing) -> Element:
    """Return an element whose coefficients are often ones that carry."""
    return ring.element(
        draw.choice(EDGES) if draw.random() < 0.5 else draw.getrandbits(ring.bits)
        for _ in range(ring.degree)
    )


def random_elements(seed: int, ring: ExactRing, count: int) -> list[Element]:
    draw = random.Random(seed)
    return [random_element(draw, ring) for _ in range(count)]


def random_words(seed: int, ring: ExactRing, count: int) -> list[int]:
    return [element[0] for element in random_elements(seed, ring, count)]


def ring_of(n: int, bits: int) -> Ring:
    return Ring(bits, degree_for(n))


def keys_of(
    n: int, t: int, operator: int, stream: str, bits: int, *, context: bytes = b"context"
) -> dict[OperatorSet, StreamKey]:
    """Return the batch keys that an operator derives from stage keys known to the test."""
    return {a: key_of(a, stream, bits, context=context) for a in sets_of(n, t, operator)}


def key_of(
    members: OperatorSet, stream: str, bits: int, *, context: bytes = b"context"
) -> StreamKey:
    return batch_key(sha256(bytes(members)).digest(), context, stream, bits)
