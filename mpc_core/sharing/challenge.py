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
from mpc_core.sharing.spans import bytes_of, spans_of, too_wide

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.sharing.opening import Buffer, ElementGroups
    from mpc_core.sharing.spans import Span

__all__ = [
    "Challenge",
    "CombinationSum",
    "agrees_with",
    "answer_for",
    "answers_on_polynomial",
    "challenge",
    "parse_answer",
    "subset_sums",
    "value_of_answers",
]

KEY_BYTES, NONCE_BYTES, BLOCK_BYTES = 16, 8, 16
CHUNK = 8
PIECE_BYTES = 1 << 20
"""Most bytes of elements that are taken at once; their stream is as long at K = 64."""

ZEROS = bytes(1 << 16)


@dataclass(frozen=True, slots=True)
class Challenge:
    """The public key and nonce whose AES-CTR stream is the challenge."""

    key: bytes
    nonce: bytes

    def stream(
        self, first: int, count: int, degree: int, memory: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Return `count` chunks from number `first` on, one byte a row, shape (count, rows).

        They are written to `memory`, which must be `stream_bytes` long.
        """
        rows = challenge_vectors(degree) * degree
        block, skip = divmod(first * rows, BLOCK_BYTES)
        counter = self.nonce + block.to_bytes(BLOCK_BYTES - NONCE_BYTES, "big")
        stream = Cipher(algorithms.AES128(self.key), modes.CTR(counter)).encryptor()
        size = skip + count * rows
        for start in range(0, size, len(ZEROS)):
            stream.update_into(memoryview(ZEROS)[: size - start], memory.data[start:])
        return memory[skip:size].reshape(count, rows)


def stream_bytes(count: int, degree: int) -> int:
    """Return the memory that `Challenge.stream` needs for this many chunks."""
    return count * challenge_vectors(degree) * degree + 2 * BLOCK_BYTES


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


class CombinationSum:
    """The sums sum_l rho_l V_l of a vector that comes in parts, for every vector rho.

    An element of weight i, which lives mod 2^(K - i), enters as 2^i times it. `subset_sums` is the
    reference of the sums over rows that are kept here.

    Security: a part meets additions only; addresses depend on the challenge, which is public.
    """

    __slots__ = ("_drawn", "_memory", "_place", "_ring", "_sums", "_totals", "_weight")

    def __init__(self, drawn: Challenge, ring: Ring) -> None:
        from mpc_core.kernels import challenge as kernel  # noqa: PLC0415 - compiles at import

        rows = challenge_vectors(ring.degree) * ring.degree
        self._drawn, self._ring = drawn, ring
        self._memory = np.empty(0, np.uint8)
        self._place = self._weight = 0
        self._sums = np.zeros((rows, kernel.accumulators(ring.bits, ring.degree)), np.uint64)
        self._totals = np.zeros((rows, ring.degree, 2), np.uint64)

    def add(self, elements: RingArray, weight: int = 0) -> None:
        """Take the next elements, all of one weight."""
        data = np.ascontiguousarray(elements).reshape(-1).view(np.uint8)
        for span in spans_of(((0, len(elements)),), self._ring, PIECE_BYTES):
            self._add(data, span, weight)

    def add_encoded(self, data: Buffer, groups: ElementGroups) -> None:
        """Take the next elements from their encoding.

        Raises:
            CeremonyError: RF-BATCH-002 or -003 if it is not canonical.
        """
        encoded = bytes_of(data, groups, self._ring)
        for span in spans_of(groups, self._ring, PIECE_BYTES):
            if not self._add(encoded, span, span.weight):
                raise too_wide(span.bits)

    def result(self) -> RingArray:
        """Return the sums so far, ceil(128/d) elements of GR(2^K, d)."""
        self._settle()
        exact, degree = self._ring.exact, self._ring.degree
        words = self._totals if self._ring.word_shape else self._totals[..., 0]
        powers = [exact.xi_power(c) for c in range(degree)]
        return self._ring.combine(powers, [words[c::degree] for c in range(degree)])

    def _add(self, data: NDArray[np.uint8], span: Span, weight: int) -> bool:
        """Add a span of encoded elements; return whether it is canonical."""
        from mpc_core.kernels import challenge as kernel  # noqa: PLC0415 - compiles at import

        if weight != self._weight:
            self._settle()
            self._weight = weight
        chunk, skip = divmod(self._place, CHUNK)
        tiles = -(-(skip + span.elements) // kernel.TILE)
        stream = self._stream(chunk, tiles * (kernel.TILE // CHUNK))
        part = span.readable(data, kernel.PADDING)
        refused = kernel.add_selected(
            part.ctypes.data,
            span.elements,
            skip,
            self._ring.degree,
            self._ring.bits,
            span.bits,
            stream,
            self._sums,
        )
        self._place += span.elements
        return not refused

    def _stream(self, first: int, count: int) -> NDArray[np.uint8]:
        degree = self._ring.degree
        needed = stream_bytes(count, degree)
        if self._memory.size < needed:
            self._memory = np.empty(needed, np.uint8)
        return self._drawn.stream(first, count, degree, self._memory)

    def _settle(self) -> None:
        """Move what was added since the weight last changed, shifted by it, to the totals."""
        from mpc_core.kernels import challenge as kernel  # noqa: PLC0415 - compiles at import

        kernel.settle(self._sums, self._weight, self._totals)


def answer_for(drawn: Challenge, data: Buffer, groups: ElementGroups, ring: Ring) -> bytes:
    """Return Y_i of an encoded share vector, or the value sum rho v of an encoded opening v.

    Raises:
        CeremonyError: RF-BATCH-002 or -003 if the encoding is not canonical.

    Security: publishing any number of answers is harmless: V is a uniform degree-2t sharing of
        the public v. It is no approval of v.
    """
    total = CombinationSum(drawn, ring)
    total.add_encoded(data, groups)
    return encode_answer(ring.to_exact(total.result()), ring.exact)
