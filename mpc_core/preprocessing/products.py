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

from mpc_core.sharing.packing import pack, packed_count
from mpc_core.sharing.prss import prss_ring_share
from mpc_core.sharing.zero import zero_mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.sharing.prss import StreamKey
    from mpc_core.sharing.sets import OperatorSet

__all__ = ["ProductRun", "product_share_vector", "product_shares"]


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


def product_share_vector(
    masks: Mapping[OperatorSet, StreamKey],
    zeros: Mapping[OperatorSet, StreamKey],
    at: int,
    runs: Sequence[ProductRun],
    ring: Ring,
) -> RingArray:
    """Return the share vector W of a batch of products.

    Args:
        masks: this batch's "product" key of every access set that contains `at`.
        zeros: its "zero" keys.
        at: the operator whose share is computed.
        runs: the operands, in the order of the batch's segments.
        ring: GR(2^K, d) of the batch.

    Returns:
        Degree-2t shares of w, `row_elements` for each row.

    Security: no step depends on a share in its time or addresses.
    """
    elements = sum(run.count * run.row_elements(ring) for run in runs)
    vector = ring.add(
        prss_ring_share(masks, at, elements, ring), zero_mask(zeros, at, elements, ring)
    )
    place = 0
    for run in runs:
        length, polynomials = run.row_length, run.polynomials
        packed = [pack(run.target[r * length : (r + 1) * length], ring) for r in range(polynomials)]
        for row in range(run.first, run.first + run.count):
            i, r = row // polynomials - run.first // polynomials, row % polynomials
            out = vector[place : place + len(packed[r])]
            ring.multiply_add(packed[r], run.inputs[i : i + 1], out)
            place += len(packed[r])
    return vector


def product_shares(
    masks: Mapping[OperatorSet, StreamKey], at: int, w: RingArray, ring: Ring
) -> RingArray:
    """Return the degree-t shares of the packed products: w - P.

    Args:
        masks: this batch's "product" key of every access set that contains `at`.
        at: the operator whose share is computed.
        w: the opening.
        ring: GR(2^K, d) of the batch.

    Security: w is public; a wrong w shifts the products by what the liar chose, which the
        challenge notices before anything is sealed.
    """
    return ring.subtract(w, prss_ring_share(masks, at, len(w), ring))
