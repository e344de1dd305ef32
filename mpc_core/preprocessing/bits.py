"""Shared random bits that nobody knows, at the price of one opening each.

For every bit: [x]_t from PRSS with x in Z_2^K. F = x^2 + x is formed as [F]_2t, d of them are
packed, masked by a zero sharing and opened as v. r^2 + r = v has exactly two roots, r and -1 - r,
one of them even and one odd. With r the even one and e = -1 - 2r, a unit, [b]_t = ([x]_t - r)/e is
a sharing of a bit: b = 1 iff x is odd. Bits of weight i are made mod 2^(K - i) and kept as 2^i b
(PROTOCOL.md, "Preprocessing").

Security: x is uniform, and v is the same for x and -1 - x, so v tells nothing about b. A wrong v
    would give something that is no bit; that is what the challenge is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.preprocessing.tiles import bit_tiles, vector_tiles
from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.galois import NARROW
from mpc_core.sharing.opening import reduce_groups
from mpc_core.sharing.packing import pack, packed_count, unpack
from mpc_core.sharing.prss import prss_share
from mpc_core.sharing.spans import Span, bytes_of, spans_of, too_wide
from mpc_core.sharing.sums import address_of
from mpc_core.sharing.zero import zero_mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mpc_core.preprocessing.batches import WeightGroup
    from mpc_core.ring.galois import Ring, RingArray, WordArray
    from mpc_core.sharing.opening import Buffer, Pieces
    from mpc_core.sharing.prss import StreamKey
    from mpc_core.sharing.sets import OperatorSet
    from mpc_core.sharing.sums import StreamSums

__all__ = [
    "OpenedBits",
    "bit_share_vector",
    "bit_shares",
    "bit_vector_pieces",
    "check_even",
    "check_parity",
    "opened_bit_shares",
    "root_and_inverse",
]

WeightGroups = tuple["WeightGroup", ...]

PIECE_BYTES = 1 << 19
WORD_BYTES = 16
"""Kernels write and read up to so many bytes past the end of what they are asked for."""


def bit_vector_pieces(
    x: StreamSums, masks: StreamSums, at: int, groups: WeightGroups, ring: Ring
) -> Pieces:
    """Yield the encoding of the share vector V of a batch of random bits, piece by piece.

    Args:
        x: the sums for x (`prss_sums`); each is asked for once, in the order of their numbers.
        masks: those for the zero masks (`zero_sums`).
        at: the operator whose share is computed.
        groups: the weight groups of the batch; each is packed by itself.
        ring: GR(2^K, d).

    Security: that of `bit_share_vector`. A piece is overwritten when the next one is asked for.
    """
    d = ring.degree
    tiles = vector_tiles(x, masks, at, ring)
    piece = np.empty(PIECE_BYTES + WORD_BYTES, np.uint8)
    piece_at, filled = address_of(piece), 0
    for group in _placed(groups, ring):
        kept = ring.words_from_integers([(1 << (ring.bits - group.weight)) - 1])
        start, size = 0, d * group.width
        while start < group.bits:
            if filled + size > PIECE_BYTES:
                yield piece[:filled].data
                filled = 0
            elements = (PIECE_BYTES - filled) // size
            count = min(group.bits - start, elements * d)
            mask = group.first_element * d + start
            place = piece_at + np.uint64(filled)
            tiles.write(group.first_bit + start, mask, count, kept, group.width, place)
            filled += packed_count(count, d) * size
            start += count
    if filled:
        yield piece[:filled].data


def opened_bit_shares(x: StreamSums, groups: WeightGroups, v: Buffer, ring: Ring) -> RingArray:
    """Return the degree-t shares of 2^i b for every bit, in group order.

    Arguments and errors are those of `OpenedBits`, result and security those of `bit_shares`.
    """
    opened = OpenedBits(x, groups, v, ring)
    shares = ring.zeros(sum(group.bits for group in groups))
    start = 0
    for number, group in enumerate(groups):
        opened.add(number, 0, shares[start : start + group.bits])
        start += group.bits
    return shares


class OpenedBits:
    """The shares of the weighted bits of an opened batch, made where they are added to something.

    Security: only v, which is public, decides what is computed. With a wrong v the result is no
        bit; use it for nothing that leaves the operator before the batch is complete.
    """

    def __init__(self, x: StreamSums, groups: WeightGroups, v: Buffer, ring: Ring) -> None:
        """Prepare the bits of a batch.

        Args:
            x: the sums for x (`prss_sums`).
            groups: the weight groups of the batch.
            v: the opening, as it is encoded.
            ring: GR(2^K, d).

        Raises:
            CeremonyError: RF-BATCH-002 if v has another length.
        """
        self._ring, self._groups = ring, tuple(_placed(groups, ring))
        self._data = bytes_of(v, _element_groups(groups, ring), ring)
        self._tiles = bit_tiles(x, ring)

    def add(self, number: int, start: int, out: RingArray) -> None:
        """Add shares of 2^i b to `out`, for as many bits as it has elements.

        Args:
            number: which group.
            start: its first bit that is wanted.
            out: shape (count, d[, 2]), C-contiguous.

        Raises:
            CeremonyError: RF-BATCH-003 if v is not canonical at these bits, RF-BATCH-020 if it is
                odd.
        """
        group, count = self._groups[number], len(out)
        if start + count > group.bits:
            raise ValueError("more bits than the group has")
        values = group.coefficients(start, count, self._ring).readable(self._data, WORD_BYTES)
        low, high = self._tiles.add(
            group.first_bit + start, count, group.weight, address_of(values), address_of(out)
        )
        _check_seen(low, high, self._ring.bits - group.weight)


def check_even(v: Buffer, groups: WeightGroups, ring: Ring) -> None:
    """Refuse an opening of random bits that is odd: x^2 + x is even for every x.

    Args:
        v: the opening, as it is encoded.
        groups: the weight groups of the batch.
        ring: GR(2^K, d).

    Raises:
        CeremonyError: RF-BATCH-020 if a coefficient is odd; where does not matter and is not said.
            RF-BATCH-002 or RF-BATCH-003 if v is not canonical.
    """
    from mpc_core.kernels.openings import scan  # noqa: PLC0415 kernels compile when imported

    element_groups = _element_groups(groups, ring)
    data = bytes_of(v, element_groups, ring)
    for span in spans_of(element_groups, ring):
        seen = np.zeros(2, np.uint64)
        count, width = span.elements * ring.degree, np.uint64(-(-span.bits // 8))
        part = span.readable(data, WORD_BYTES)  # kept while the kernel reads it
        scan(address_of(part), count, width, seen)
        low, high = seen.tolist()
        _check_seen(low, high, span.bits)


def bit_share_vector(
    bits: Mapping[OperatorSet, StreamKey],
    zeros: Mapping[OperatorSet, StreamKey],
    at: int,
    groups: WeightGroups,
    ring: Ring,
) -> RingArray:
    """Return the share vector V of a batch of random bits: masked x^2 + x, packed by weight.

    Args:
        bits: this batch's "bits" key of every access set that contains `at`.
        zeros: its "zero" keys.
        at: the operator whose share is computed.
        groups: the weight groups of the batch; each is packed by itself.
        ring: GR(2^K, d).

    Returns:
        Degree-2t shares of v, one packed element for d bits, those of weight i mod 2^(K - i).

    Security: the zero mask makes V a uniform sharing of v, so neither V nor any combination of it
        tells more than v. No step depends on a share in its time or addresses.
    """
    x = prss_share(bits, at, sum(group.bits for group in groups), ring)
    total = x.copy()
    ring.multiply_add(x, x, total)  # x^2 + x
    packed = [pack(total[start:stop], ring) for start, stop, _, _ in _spans(groups, ring)]
    elements = np.concatenate(packed)
    vector = ring.add(elements, zero_mask(zeros, at, len(elements), ring))
    return reduce_groups(vector, _element_groups(groups, ring), ring)


def bit_shares(
    bits: Mapping[OperatorSet, StreamKey], at: int, groups: WeightGroups, v: RingArray, ring: Ring
) -> RingArray:
    """Return the degree-t shares of 2^i b for every bit, in group order.

    Args:
        bits: this batch's "bits" key of every access set that contains `at`.
        at: the operator whose share is computed.
        groups: the weight groups of the batch.
        v: the opening, packed as the share vector is.
        ring: GR(2^K, d).

    Returns:
        Shares mod 2^K, shape (bits, d[, 2]).

    Raises:
        CeremonyError: RF-BATCH-020 if v is odd somewhere.

    Security: only v, which is public, decides what is computed. With a wrong v the result is no
        bit; use it for nothing that leaves the operator before the batch is complete.
    """
    from mpc_core.kernels import roots as kernel  # noqa: PLC0415 kernels compile when imported

    check_parity(v, ring)
    shares = prss_share(bits, at, sum(group.bits for group in groups), ring)
    for group, (start, stop, first, last) in zip(groups, _spans(groups, ring), strict=True):
        opened = unpack(v[first:last], stop - start)
        roots, inverses = kernel.root_and_inverse(opened, ring.bits)
        part = shares[start:stop]
        part[:, 0] = ring.subtract(part[:, 0], roots)
        shares[start:stop] = ring.scale(part, _shifted(inverses, group.weight, ring))
    return shares


def check_parity(v: RingArray, ring: Ring) -> None:
    """Refuse an opening of random bits that is odd: x^2 + x is even for every x.

    Raises:
        CeremonyError: RF-BATCH-020; where it is odd does not matter and is not said.
    """
    low = v if ring.bits == NARROW else v[..., 0]
    if bool((low & np.uint64(1)).any()):
        raise _odd()


def root_and_inverse(v: WordArray, bits: int) -> tuple[WordArray, WordArray]:
    """Return the even root r of r^2 + r = v and the inverse of e = -1 - 2r, mod 2^K.

    Args:
        v: even words.
        bits: K, 64 or 128. A v known mod 2^(K - i) gives results right mod 2^(K - i).

    The map r -> v - r^2 brings an even r two bits closer to the even root.
    """
    from mpc_core.ring.galois import from_integers, to_integers  # noqa: PLC0415

    modulus = 1 << bits
    roots, inverses = [], []
    for value in to_integers(v, bits).tolist():
        root = 0
        for _ in range(bits // 2):
            root = (value - root * root) % modulus
        roots.append(root)
        inverses.append(pow(-1 - 2 * root, -1, modulus))
    return (
        from_integers(np.array(roots, dtype=object), bits),
        from_integers(np.array(inverses, dtype=object), bits),
    )


def _check_seen(low: int, high: int, bits: int) -> None:
    """Refuse coefficients of `bits` bits, given the halves of all of them joined by "or"."""
    if (low | high << NARROW) >> bits:
        raise too_wide(bits)
    if low & 1:
        raise _odd()


def _odd() -> CeremonyError:
    return CeremonyError(
        "RF-BATCH-020",
        "an opening of random bits is odd",
        expected="even values: x^2 + x is even",
        found="an odd value",
        effect="this round of the batch counts for nothing; another operator decodes",
        runbook="a-batch-does-not-open",
    )


@dataclass(frozen=True, slots=True)
class _PlacedGroup:
    """A weight group, and where its bits, elements and bytes begin in the batch."""

    weight: int
    bits: int
    width: int
    first_bit: int
    first_element: int
    first_byte: int

    def coefficients(self, first: int, count: int, ring: Ring) -> Span:
        """Return where the values of some of its bits lie in the encoding of v."""
        start = self.first_byte + first * self.width
        bits = ring.bits - self.weight
        return Span(self.weight, bits, 0, start, start + count * self.width)


def _placed(groups: WeightGroups, ring: Ring) -> Iterator[_PlacedGroup]:
    byte = 0
    for group, (first_bit, _, first_element, last) in zip(
        groups, _spans(groups, ring), strict=True
    ):
        width = -(-(ring.bits - group.weight) // 8)
        yield _PlacedGroup(group.weight, group.bits, width, first_bit, first_element, byte)
        byte += (last - first_element) * ring.degree * width


def _spans(groups: WeightGroups, ring: Ring) -> Iterator[tuple[int, int, int, int]]:
    """Yield (first bit, end, first element, end) of every group."""
    bit = element = 0
    for group in groups:
        count = packed_count(group.bits, ring.degree)
        yield bit, bit + group.bits, element, element + count
        bit, element = bit + group.bits, element + count


def _element_groups(groups: WeightGroups, ring: Ring) -> tuple[tuple[int, int], ...]:
    return tuple((group.weight, packed_count(group.bits, ring.degree)) for group in groups)


def _shifted(words: WordArray, weight: int, ring: Ring) -> WordArray:
    """Return 2^weight times public words."""
    if ring.bits == NARROW:
        return words << np.uint64(weight)
    low, high = words[:, 0], words[:, 1]
    if weight >= NARROW:
        return np.stack((np.zeros_like(low), low << np.uint64(weight - NARROW)), axis=1)
    if weight:
        high = high << np.uint64(weight) | low >> np.uint64(NARROW - weight)
    return np.stack((low << np.uint64(weight), high), axis=1)
