"""The answers Y to a challenge: their encoding, and whether they are consistent.

An answer is ceil(128/d) elements of GR(2^K, d), one for each vector of the challenge, every
coefficient in K/8 bytes, little-endian. Standard library only: the rules of the log are made of
these functions (PROTOCOL.md, "Opening a batch", steps 4 to 7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mpc_core.ring.exact import Element, ExactRing

__all__ = [
    "CHALLENGE_BITS",
    "agrees_with",
    "answers_on_polynomial",
    "challenge_vectors",
    "encode_answer",
    "parse_answer",
    "value_of_answers",
]

CHALLENGE_BITS = 128
"""A wrong v survives a challenge with probability 2^-128."""


def challenge_vectors(degree: int) -> int:
    """Return how many challenge vectors over F_2^d make 128 bits: ceil(128/d)."""
    return -(-CHALLENGE_BITS // degree)


def encode_answer(elements: Sequence[Element], ring: ExactRing) -> bytes:
    """Encode an answer or the expected value canonically."""
    width = ring.bits // 8
    return b"".join(
        coefficient.to_bytes(width, "little") for element in elements for coefficient in element
    )


def parse_answer(data: bytes, ring: ExactRing) -> tuple[Element, ...]:
    """Decode an answer.

    Raises:
        CeremonyError: RF-BATCH-007 if the length is wrong; any bytes of the right length are
            canonical.
    """
    width = ring.bits // 8
    expected = challenge_vectors(ring.degree) * ring.degree * width
    if len(data) != expected:
        raise CeremonyError(
            "RF-BATCH-007",
            "the answer to a challenge has the wrong length",
            expected=f"{expected} bytes",
            found=f"{len(data)} bytes",
            effect="the entry is void",
        )
    coefficients = [
        int.from_bytes(data[start : start + width], "little") for start in range(0, expected, width)
    ]
    return tuple(
        tuple(coefficients[start : start + ring.degree])
        for start in range(0, len(coefficients), ring.degree)
    )


def answers_on_polynomial(values: Mapping[int, bytes], degree: int, ring: ExactRing) -> bool:
    """Tell whether the answers, by operator index, lie on one polynomial of at most `degree`.

    Security: the code has distance n - degree, so when every honest operator has answered, lies
        of up to n - degree - 1 others are visible: at degree 2t that covers all t liars.
    """
    parsed = {index: parse_answer(value, ring) for index, value in values.items()}
    return ring.vectors_lie_on_polynomial(parsed, degree)


def value_of_answers(values: Mapping[int, bytes], degree: int, ring: ExactRing) -> bytes:
    """Return the value at 0, encoded as an answer, of answers that lie on one polynomial."""
    parsed = {index: parse_answer(value, ring) for index, value in values.items()}
    return encode_answer(ring.vector_at_zero(parsed, degree), ring)


def agrees_with(values: Mapping[int, bytes], degree: int, expected: bytes, ring: ExactRing) -> bool:
    """Tell whether answers on one polynomial have the value sum rho v at 0.

    Args:
        values: answers by operator index, at least degree + 1 of them.
        degree: 2t, or t for assembly.
        expected: `challenge.answer_for` of v.
        ring: GR(2^K, d).
    """
    return value_of_answers(values, degree, ring) == expected
