"""The random challenge that every opening must pass (PROTOCOL.md, "Opening a batch", step 3).

ceil(128/d) vectors rho over the exceptional set {0/1 coefficients} are drawn from the log after
the decoder's entry is on it. Operator i answers Y_i = sum_l rho_l V_(i,l) for each of them; the Y_i
of honest operators lie on one polynomial of degree 2t with value sum_l rho_l v_l at 0.

The stream of AES-CTR bytes is read in chunks of eight elements l = 8g .. 8g+7. A chunk has one byte
for each row (vector j, coefficient c), c fastest: bit k of byte j d + c of chunk g is the
coefficient of xi^c in rho_(j, 8g+k), bit 0 being the lowest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from mpc_core.sharing.answers import (
    agrees_with,
    answers_on_polynomial,
    challenge_vectors,
    encode_answer,
    parse_answer,
    value_of_answers,
)
from mpc_core.sharing.opening import element_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.sharing.opening import ElementGroups

__all__ = [
    "Challenge",
    "agrees_with",
    "answer",
    "answers_on_polynomial",
    "challenge",
    "combinations",
    "expected_value",
    "parse_answer",
    "subset_sums",
    "value_of_answers",
]

KEY_BYTES, NONCE_BYTES, BLOCK_BYTES = 16, 8, 16
CHUNK = 8
PIECE = 512
"""Chunks that are expanded at once: about 64 KB of stream."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The public key and nonce whose AES-CTR stream is the challenge."""

    key: bytes
    nonce: bytes

    def pieces(self, elements: int, degree: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the stream for this many elements, shape (at most `PIECE` chunks, rows)."""
        rows = challenge_vectors(degree) * degree
        cipher = Cipher(algorithms.AES128(self.key), modes.CTR(self.nonce + bytes(8)))
        stream = cipher.encryptor()
        chunks = -(-elements // CHUNK)
        for start in range(0, chunks, PIECE):
            size = min(PIECE, chunks - start) * rows
            piece = np.empty(size + BLOCK_BYTES, np.uint8)
            stream.update_into(bytes(size), piece.data)
            yield piece[:size].reshape(-1, rows)


def challenge(plan_hash: bytes, context_id: bytes, round_number: int, log_root: bytes) -> Challenge:
    """Draw the challenge of a decoder round from the log prefix that ends with its entry.

    SHAKE-256 over "chal", plan hash, context, round (64-bit big-endian) and log root, each with
    its length in front as a 32-bit big-endian number; 16 bytes of key, 8 of nonce.

    Security: roots of the vectors and of v are in the prefix, so whoever lied did so before the
        challenge existed; it is public and needs no secret.
    """
    fields = (b"chal", plan_hash, context_id, round_number.to_bytes(8, "big"), log_root)
    text = b"".join(len(data).to_bytes(4, "big") + data for data in fields)
    drawn = hashlib.shake_256(text).digest(KEY_BYTES + NONCE_BYTES)
    return Challenge(drawn[:KEY_BYTES], drawn[KEY_BYTES:])


def subset_sums(
    elements: RingArray, weights: NDArray[np.uint8], stream: NDArray[np.uint8], ring: Ring
) -> RingArray:
    """Add up, for each row of the stream, 2^weight times the elements its bits select.

    Args:
        elements: packed elements.
        weights: weight of each element.
        stream: challenge bytes, shape (ceil(elements / 8), rows).
        ring: GR(2^K, d).

    Returns:
        One element for each row.
    """
    exact = ring.exact
    values = ring.to_exact(elements)
    sums = [exact.zero] * stream.shape[1]
    for at, (value, weight) in enumerate(zip(values, weights.tolist(), strict=True)):
        scaled = exact.scale(value, 1 << weight)
        for row, byte in enumerate(stream[at // CHUNK].tolist()):
            if byte >> (at % CHUNK) & 1:
                sums[row] = exact.add(sums[row], scaled)
    return ring.from_exact(sums)


def combinations(
    drawn: Challenge, elements: RingArray, groups: ElementGroups, ring: Ring
) -> RingArray:
    """Return sum_l rho_l V_l for every vector rho, ceil(128/d) elements of GR(2^K, d).

    An element of the group of weight i, which lives mod 2^(K - i), enters as 2^i times it.
    """
    from mpc_core.kernels import challenge as kernel  # noqa: PLC0415 - compiles at import

    exact = ring.exact
    weights = element_weights(groups)
    sums = ring.zeros(challenge_vectors(ring.degree) * ring.degree)
    start = 0
    for stream in drawn.pieces(len(elements), ring.degree):
        stop = min(start + CHUNK * len(stream), len(elements))
        part = kernel.subset_sums(elements[start:stop], weights[start:stop], stream, ring)
        sums = ring.add(sums, part)
        start = stop
    totals = ring.to_exact(sums)
    powers = [exact.xi_power(c) for c in range(ring.degree)]
    rows = [totals[at : at + ring.degree] for at in range(0, len(totals), ring.degree)]
    return ring.from_exact([exact.combine(powers, row) for row in rows])


def answer(drawn: Challenge, vector: RingArray, groups: ElementGroups, ring: Ring) -> bytes:
    """Return Y_i of a share vector, encoded.

    Security: publishing any number of answers is harmless: V is a uniform degree-2t sharing of
        the public v. It is no approval of v.
    """
    return encode_answer(ring.to_exact(combinations(drawn, vector, groups, ring)), ring.exact)


def expected_value(drawn: Challenge, v: RingArray, groups: ElementGroups, ring: Ring) -> bytes:
    """Return sum rho v, encoded as an answer: what the answers must have at 0."""
    return answer(drawn, v, groups, ring)
