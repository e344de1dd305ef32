"""Shares of products of key bits, for bootstrap keys (PROTOCOL.md, "Products").

One packed element carries d neighbouring products of one row, s_i S_j .. s_i S_(j+d-1):
[W]_2t = [s_i] * sum_c xi^c [S_(j+c)] + [P]_t + zero mask, with P from PRSS over all of GR. Opened
is w; [s_i sum_c xi^c S_(j+c)]_t = w - [P]_t is kept packed. Each row is packed by itself.

Security: P is uniform in GR to any t operators, so w is a uniform value whatever the key bits are;
    the zero mask makes W a uniform sharing of it. P from Z_2^K would leave the packed positions
    1 .. d-1 unmasked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.sharing.opening import decode_words
from mpc_core.sharing.packing import pack, packed_count
from mpc_core.sharing.prss import prss_ring_share
from mpc_core.sharing.spans import element_count, spans_of
from mpc_core.sharing.zero import zero_mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.sharing.opening import Buffer, Pieces
    from mpc_core.sharing.prss import StreamKey
    from mpc_core.sharing.sets import OperatorSet

__all__ = [
    "ProductRun",
    "opened_product_shares",
    "product_vector_pieces",
]

CHUNK = 1 << 14
"""Packed elements, give or take a row, that are masked at once."""


@dataclass(frozen=True, slots=True)
class ProductRun:
    """One operator's operands of a run of rows (i, r) of s_i S_r, i outermost.

    Attributes:
        inputs: shares of the s_i of the run, from that of row `first` on, in the batch's ring.
        target: shares of all bits of the target key, polynomial by polynomial, in the same ring.
        row_length: coefficients of a polynomial of the target key.
        first: first row of the run.
        count: number of rows.
    """

    inputs: RingArray
    target: RingArray
    row_length: int
    first: int
    count: int

    @property
    def polynomials(self) -> int:
        """Polynomials of the target key, which is the number of rows for each input bit."""
        return len(self.target) // self.row_length

    def row_elements(self, ring: Ring) -> int:
        """Return the packed elements of one row."""
        return packed_count(self.row_length, ring.degree)


def product_vector_pieces(
    masks: Mapping[OperatorSet, StreamKey],
    zeros: Mapping[OperatorSet, StreamKey],
    at: int,
    runs: Sequence[ProductRun],
    ring: Ring,
) -> Pieces:
    """Yield the encoding of the share vector W of a batch of products, some rows at a time.

    Args:
        masks: this batch's "product" key of every access set that contains `at`.
        zeros: its "zero" keys.
        at: the operator whose share is computed.
        runs: the operands, in the order of the batch's segments.
        ring: GR(2^K, d) of the batch.

    Yields:
        Degree-2t shares of w, `row_elements` for each row.

    Security: no step depends on a share in its time or addresses.
    """
    for chunk in _masked_chunks(masks, zeros, at, runs, ring):
        yield chunk.reshape(-1).view(np.uint8).data


def opened_product_shares(
    masks: Mapping[OperatorSet, StreamKey], at: int, w: Buffer, ring: Ring
) -> RingArray:
    """Return the degree-t shares of the packed products, w - P, from the encoding of w.

    Args:
        masks: this batch's "product" key of every access set that contains `at`.
        at: the operator whose share is computed.
        w: the encoded opening.
        ring: GR(2^K, d) of the batch.

    Raises:
        CeremonyError: RF-BATCH-002 if `w` does not consist of whole elements.

    Security: w is public; a wrong w shifts the products by what the liar chose, which the
        challenge notices before anything is sealed.
    """
    count = element_count(w, ring)
    shares, first = ring.zeros(count), 0
    for span in spans_of(((0, count),), ring):
        opened = decode_words(memoryview(w)[span.start : span.stop], ((0, span.elements),), ring)
        masked = prss_ring_share(masks, at, span.elements, ring, first)
        shares[first : first + span.elements] = ring.subtract(opened, masked)
        first += span.elements
    return shares


def _masked_chunks(
    masks: Mapping[OperatorSet, StreamKey],
    zeros: Mapping[OperatorSet, StreamKey],
    at: int,
    runs: Sequence[ProductRun],
    ring: Ring,
) -> Iterator[RingArray]:
    """Yield products plus masks of some rows after the other; a chunk keeps within one run."""
    first = 0
    for run in runs:
        length, polynomials = run.row_length, run.polynomials
        packed = [pack(run.target[r * length : (r + 1) * length], ring) for r in range(polynomials)]
        size = run.row_elements(ring)
        step = max(1, CHUNK // size)
        last = run.first + run.count
        for start in range(run.first, last, step):
            rows = range(start, min(start + step, last))
            chunk = ring.add(
                prss_ring_share(masks, at, len(rows) * size, ring, first),
                zero_mask(zeros, at, len(rows) * size, ring, first),
            )
            for place, row in enumerate(rows):
                i, r = row // polynomials - run.first // polynomials, row % polynomials
                out = chunk[place * size : (place + 1) * size]
                ring.multiply_add(packed[r], run.inputs[i : i + 1], out)
            first += len(chunk)
            yield chunk
