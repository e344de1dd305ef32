"""Opening a batch: share vectors on the wire, and what they interpolate to.

A share vector and the value v that it opens to have the same shape and encoding: packed elements
in group order, each coefficient ceil((K - i) / 8) bytes, little-endian, for weight i. At degree 2t
exactly 2t+1 vectors are interpolated and nothing is corrected; whether they were right, the
challenge tells (PROTOCOL.md, "Opening a batch"). At degree t n-t
vectors must lie on one polynomial.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.exact import ExactRing
from mpc_core.sharing.interpolation import interpolate
from mpc_core.sharing.spans import bytes_of, encoded_size, too_wide

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mpc_core.ring.exact import Element
    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.sharing.interpolation import Combined
    from mpc_core.sharing.spans import Span

__all__ = [
    "Buffer",
    "ElementGroups",
    "Pieces",
    "decode_words",
    "encode_words",
    "fitting_in",
    "open_double",
    "open_single",
    "reduce_groups",
]

Buffer = bytes | memoryview
"""A whole canonical encoding, often a mapped file."""

Pieces = Iterator[Buffer]
"""Consecutive parts of a canonical encoding; each is used up before the next is asked for."""

ElementGroups = tuple[tuple[int, int], ...]
"""(weight i, packed elements) of each group, in order."""


def _rows(groups: ElementGroups) -> list[tuple[int, slice]]:
    rows, start = [], 0
    for weight, count in groups:
        rows.append((weight, slice(start, start + count)))
        start += count
    return rows


def reduce_groups(values: RingArray, groups: ElementGroups, ring: Ring) -> RingArray:
    """Reduce the elements of each group mod 2^(K - weight), in place, and return them.

    Security: a share must be reduced before it leaves its operator; the high bits of a value that
        is to be opened mod 2^(K - i) are not masked by the rest of the protocol.
    """
    for weight, rows in _rows(groups):
        if weight:
            values[rows] = ring.reduce(values[rows], ring.bits - weight)
    return values


def _too_wide(data: np.ndarray[tuple[int, int], np.dtype[np.uint8]], bits: int) -> bool:
    """Tell whether little-endian rows of bytes hold an integer of more than `bits` bits."""
    top = data[:, bits // 8 :].copy()
    if top.shape[1]:
        top[:, 0] &= np.uint8(0xFF & ~((1 << bits % 8) - 1))
    return bool(top.any())


def encode_words(values: RingArray, groups: ElementGroups, ring: Ring) -> bytes:
    """Encode a share vector or v canonically.

    Args:
        values: packed elements, reduced group by group.
        groups: weight and number of elements of each group.
        ring: the ring of the batch.

    Raises:
        CeremonyError: RF-BATCH-008 if a coefficient is not reduced; it is not sent.
    """
    parts = []
    for weight, rows in _rows(groups):
        bits = ring.bits - weight
        data = np.ascontiguousarray(values[rows]).astype("<u8", copy=False).view(np.uint8)
        data = data.reshape(-1, ring.bits // 8)
        if _too_wide(data, bits):
            raise CeremonyError(
                "RF-BATCH-008",
                "a share vector is wider than the ring it is opened in",
                expected=f"coefficients of at most {bits} bits",
                found="a wider coefficient",
                effect="nothing was sent",
                next_step="report this as a defect of the software",
                runbook="a-batch-does-not-open",
            )
        parts.append(data[:, : -(-bits // 8)].tobytes())
    return b"".join(parts)


def decode_words(data: bytes | memoryview, groups: ElementGroups, ring: Ring) -> RingArray:
    """Decode a share vector or v; the inverse of `encode_words`.

    Raises:
        CeremonyError: RF-BATCH-002 if the length is wrong, RF-BATCH-003 if a coefficient is wider
            than K - i bits.

    Security: there is one encoding of each vector, so a Merkle root names one value.
    """
    encoded = bytes_of(data, groups, ring)
    count = sum(count for _, count in groups)
    words = np.zeros((count * ring.degree, ring.bits // 8), np.uint8)
    start = 0
    for weight, rows in _rows(groups):
        bits = ring.bits - weight
        first, last = rows.start * ring.degree, rows.stop * ring.degree
        width = -(-bits // 8)
        part = encoded[start : start + (last - first) * width].reshape(-1, width)
        if _too_wide(part, bits):
            raise too_wide(bits)
        words[first:last, :width] = part
        start += part.size
    values = words.view("<u8").astype(np.uint64, copy=False)
    return values.reshape(ring.shape(count))


def open_double(
    vectors: Mapping[int, Buffer], threshold: int, groups: ElementGroups, ring: Ring
) -> Pieces:
    """Interpolate v from the encoded vectors of exactly 2t+1 operators, by index, at degree 2t.

    Returns:
        The encoding of v, piece by piece.

    Raises:
        CeremonyError: RF-BATCH-004 if there are more or fewer vectors; while the pieces are made,
            RF-BATCH-002 or -003 if a vector is not canonical.

    Security: any one of the vectors can make v wrong, unnoticed here. The challenge of the round
        notices; no error is ever corrected at degree 2t, since at n = 3t+1 colluders could steer
        the corrected value.
    """
    _check_number(vectors, threshold)
    return _canonical_values(vectors, interpolate(vectors, 2 * threshold, groups, ring), ring)


def open_single(
    vectors: Mapping[int, Buffer], threshold: int, quorum: int, groups: ElementGroups, ring: Ring
) -> Pieces:
    """Interpolate v from at least n-t encoded vectors that all lie on one degree-t polynomial.

    Args:
        vectors: encoded share vectors by operator index.
        threshold: t.
        quorum: n-t.
        groups: weight and number of elements of each group.
        ring: GR(2^K, d).

    Returns:
        The encoding of v, piece by piece; a piece is made once all vectors fit there.

    Raises:
        CeremonyError: RF-BATCH-005 if there are fewer than n-t vectors; while the pieces are made,
            RF-BATCH-002 or -003 if a vector is not canonical, and RF-BATCH-006 if they do not lie
            on one polynomial, naming who is off the only one that n-t of them fit.

    Security: n-t vectors on one polynomial hold t+1 honest ones, which fix it; so v is right
        whatever t operators sent, and whenever.
    """
    _check_quorum(vectors, quorum)

    def fitting_spans() -> Iterator[Combined]:
        for combined in interpolate(vectors, threshold, groups, ring):
            if combined.canonical and not combined.fits:
                fitting = fitting_in(vectors, threshold, quorum, groups, ring)
                raise _off_polynomial(tuple(sorted(vectors)), fitting, threshold, quorum)
            yield combined

    return _canonical_values(vectors, fitting_spans(), ring)


def fitting_in(
    vectors: Mapping[int, Buffer], threshold: int, quorum: int, groups: ElementGroups, ring: Ring
) -> tuple[int, ...]:
    """Return the operators whose vectors lie on the one polynomial that at least n-t of them fit.

    A vector that is not canonical lies on none. Empty while no polynomial has n-t vectors; then
    more vectors are needed. There is at most one: two of them would share n-2t > t points.
    """
    size = encoded_size(groups, ring)
    fitting = tuple(i for i in sorted(vectors) if memoryview(vectors[i]).nbytes == size)
    while len(fitting) >= quorum:
        held = {index: vectors[index] for index in fitting}
        for combined in interpolate(held, threshold, groups, ring):
            if not (combined.canonical and combined.fits):
                fitting = _fitting_span(held, combined.span, threshold, quorum, ring)
                break
        else:
            return fitting
    return ()


def _canonical_values(
    vectors: Mapping[int, Buffer], spans: Iterator[Combined], ring: Ring
) -> Pieces:
    """Yield the values of all spans, refusing vectors that are not canonical."""
    for combined in spans:
        if not combined.canonical:
            canonical = _decoded_span(vectors, combined.span, ring)
            names = ", ".join(str(index) for index in sorted(vectors.keys() - canonical.keys()))
            raise too_wide(combined.span.bits, f"a wider coefficient from operators: {names}")
        yield combined.value


def _decoded_span(vectors: Mapping[int, Buffer], span: Span, ring: Ring) -> dict[int, RingArray]:
    """Decode a span of those vectors that are canonical there."""
    decoded = {}
    for index, data in vectors.items():
        with suppress(CeremonyError):
            part = memoryview(data)[span.start : span.stop]
            decoded[index] = decode_words(part, ((span.weight, span.elements),), ring)
    return decoded


def _fitting_span(
    vectors: Mapping[int, Buffer], span: Span, threshold: int, quorum: int, ring: Ring
) -> tuple[int, ...]:
    """Return who remains of some vectors because of the first element of a span that misfits."""
    decoded = _decoded_span(vectors, span, ring)
    points = tuple(sorted(decoded))
    if len(decoded) < len(vectors):
        return points
    row = _first_misfit(decoded, points, threshold, ring, span.bits)
    if row is None:
        return ()
    values = {i: ring.to_exact(part[row : row + 1])[0] for i, part in decoded.items()}
    return _fitting_row(values, threshold, quorum, ExactRing(span.bits, ring.degree))


def _interpolate(
    vectors: Mapping[int, RingArray], points: tuple[int, ...], at: int, ring: Ring
) -> RingArray:
    factors = ring.exact.lagrange(points, at)
    return ring.combine(factors, (vectors[index] for index in points))


def _first_misfit(
    vectors: Mapping[int, RingArray],
    points: tuple[int, ...],
    threshold: int,
    ring: Ring,
    bits: int,
) -> int | None:
    """Return the first element at which a vector is off the polynomial of the first t+1 ones."""
    base = points[: threshold + 1]
    for index in points[threshold + 1 :]:
        expected = ring.reduce(_interpolate(vectors, base, index, ring), bits)
        differs = expected != vectors[index]
        rows = np.flatnonzero(differs.reshape(len(differs), -1).any(axis=1))
        if rows.size:
            return int(rows[0])
    return None


def _fitting_row(
    values: Mapping[int, Element], threshold: int, quorum: int, exact: ExactRing
) -> tuple[int, ...]:
    """Return the operators whose elements lie on the one polynomial that n-t of them fit."""
    for base in combinations(values, threshold + 1):
        chosen = [values[index] for index in base]
        fitting = list(base)
        spare = len(values) - quorum
        for index in values.keys() - base:
            if exact.combine(exact.lagrange(base, index), chosen) == values[index]:
                fitting.append(index)
            else:
                spare -= 1
            if spare < 0:
                break
        if spare >= 0:
            return tuple(sorted(fitting))
    return ()


def _check_number(vectors: Collection[int], threshold: int) -> None:
    if len(vectors) != 2 * threshold + 1:
        raise CeremonyError(
            "RF-BATCH-004",
            "a batch is decoded from the wrong number of vectors",
            expected=f"{2 * threshold + 1} operators",
            found=f"{len(vectors)}",
            effect="nothing was decoded",
        )


def _check_quorum(vectors: Collection[int], quorum: int) -> None:
    if len(vectors) < quorum:
        raise CeremonyError(
            "RF-BATCH-005",
            "too few vectors for an opening",
            expected=f"{quorum} operators",
            found=f"{len(vectors)}",
            effect="the batch stays open",
        )


def _off_polynomial(
    points: tuple[int, ...], fitting: tuple[int, ...], threshold: int, quorum: int
) -> CeremonyError:
    off = ", ".join(str(index) for index in points if index not in fitting)
    return CeremonyError(
        "RF-BATCH-006",
        "the vectors of an opening do not lie on one polynomial",
        expected=f"every vector on the polynomial of degree {threshold} that {quorum} fit",
        found=f"operators off it: {off}" if fitting else "no polynomial that enough of them fit",
        effect="nothing was opened; vectors off the polynomial count as missing",
        runbook="a-batch-does-not-open",
    )
