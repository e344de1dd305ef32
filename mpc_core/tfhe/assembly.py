"""Public bodies as linear functions of stored sharings.

Every body of a key set is b = <a, s> + m + e, where the masks a are public, s and e are shared
with degree t, and m is a key bit or a product of two, times a power of two. So an operator forms
its share of b alone. Arrays of shares end in the d coefficients of the Galois ring (and the two
halves of a 128-bit word). Objects are worked on in runs of rows whose masks fit into a cache.

Security: a body's share is formed in the object's own ring: key shares mod 2^128 are reduced
before any of this. What is opened is a degree-t sharing whose secret is public, so t operators
learn nothing beyond the body (PROTOCOL.md, "Assembly").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.ring.galois import NARROW
from mpc_core.sharing.packing import pack, packed_count
from mpc_core.tfhe import words
from mpc_core.tfhe.objects import Kind, secret_key
from mpc_core.tfhe.xof import mask_rows, mask_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mpc_core.kernels.negacyclic import TransformedKey
    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.tfhe.objects import PublicObject
    from mpc_core.tfhe.parameters import Parameters
    from mpc_core.tfhe.xof import XofStream

__all__ = [
    "BodyShares",
    "add_message_terms",
    "gadget_shift",
    "pack_rows",
    "packed_body_shares",
    "product_rows",
]

CHUNK_WORDS = 1 << 16
"""Mask words of the rows that are worked on at once: up to 1 MiB."""


@dataclass(frozen=True, slots=True, repr=False)
class BodyShares:
    """One operator's shares of the bodies of one object, run by run.

    Attributes:
        item: the object.
        ring: its ring.
        stream: the public masks.
        source: shares of the key whose bits are the messages, in the object's ring; None without.
        target: shares of the key under which it encrypts: those of an LWE key, or transformed.
    """

    item: PublicObject
    ring: Ring
    stream: XofStream
    source: RingArray | None
    target: RingArray | TransformedKey

    @classmethod
    def of(
        cls,
        parameters: Parameters,
        item: PublicObject,
        seed: bytes,
        keys: Mapping[str, RingArray],
        ring: Ring,
    ) -> BodyShares:
        """Prepare an object.

        Args:
            parameters: the parameter set.
            item: the object.
            seed: the public seed, 16 bytes.
            keys: shares of the secret keys by name, shape (bits, d), or (bits, d, 2) for keys that
                are shared mod 2^128; at least the object's input and target key.
            ring: the object's ring.
        """
        source = _own_ring(parameters, item, item.input_key, keys) if item.input_key else None
        target = _target(item, _own_ring(parameters, item, item.target_key, keys))
        return cls(item, ring, mask_stream(seed), source, target)

    def chunks(self, start_row: int, rows: int) -> Iterator[range]:
        """Yield consecutive runs of rows; each but the last fills its packed elements."""
        degree = self.ring.degree
        step = max(1, CHUNK_WORDS // self.item.row_mask_words // degree) * degree
        for start in range(start_row, start_row + rows, step):
            yield range(start, min(start + step, start_row + rows))

    def packed(self, rows: range, noise: RingArray, products: RingArray | None) -> RingArray:
        """Return the packed shares of a run of rows, ready to be opened.

        Args:
            rows: the rows.
            noise: shares of their noise, shape (bodies, d[, 2]), in the object's ring.
            products: packed products of `product_rows(item, rows.start, len(rows))`, shape
                (len(range) * ceil(N / d), d[, 2]); `None` for objects without.

        Returns:
            Shares of sum_c xi^c b_c, shape (item.packed_elements(len(rows), d), d[, 2]).

        Security: local. Degree t; the secret is the body and nothing else.
        """
        shares = np.array(noise, dtype=np.uint64, order="C")
        self._add_inner_products(shares, rows)
        if self.source is not None:
            add_message_terms(self.item, self.source, shares, rows)
        packed = pack_rows(self.item, shares, self.ring)
        if products is not None:
            self._subtract_products(packed, products, rows)
        return packed

    def _add_inner_products(self, shares: RingArray, rows: range) -> None:
        """Add <a, s>: the sum of a_j(X) S_j(X) mod X^N + 1 where bodies are polynomials."""
        masks = mask_rows(self.stream, self.item, rows.start, len(rows))
        if isinstance(self.target, np.ndarray):
            shares += masks @ self.target
            return
        from mpc_core.kernels.negacyclic import (  # noqa: PLC0415 kernels compile when imported
            add_negacyclic_sum,
        )

        add_negacyclic_sum(masks, self.target, shares)

    def _subtract_products(self, packed: RingArray, products: RingArray, rows: range) -> None:
        """Subtract s_i S_j times the gadget from row j of every level of bit i."""
        from mpc_core.kernels import assembly  # noqa: PLC0415 kernels compile when imported

        narrow = self.ring.bits == NARROW
        subtract = assembly.subtract_shifted_64 if narrow else assembly.subtract_shifted_128
        polynomials, per_bit = self.item.mask_polynomials, self.item.rows_per_input_bit
        first = rows.start // per_bit * polynomials
        by_row = packed.reshape(len(rows), -1, *self.ring.word_shape)
        by_product = products.reshape(-1, *by_row.shape[1:])
        for row, total in zip(rows, by_row, strict=True):
            place = row % (polynomials + 1)
            if place < polynomials:
                product = by_product[row // per_bit * polynomials + place - first]
                subtract(total, product, gadget_shift(self.item, row))


def packed_body_shares(  # noqa: PLR0917 what the formula takes
    parameters: Parameters,
    item: PublicObject,
    seed: bytes,
    keys: Mapping[str, RingArray],
    noise: RingArray,
    products: RingArray | None,
    start_row: int,
    rows: int,
    ring: Ring,
) -> RingArray:
    """Return the packed shares of some rows of an object: `BodyShares.packed` of all its chunks.

    Args:
        parameters: the parameter set.
        item: the object.
        seed: the public seed, 16 bytes.
        keys: shares of the secret keys by name.
        noise: shares of the noise of these rows.
        products: packed products of `product_rows(item, start_row, rows)`; `None` for objects
            without.
        start_row: first row.
        rows: number of rows.
        ring: the object's ring.
    """
    bodies = BodyShares.of(parameters, item, seed, keys, ring)
    packed = ring.zeros(item.packed_elements(rows, ring.degree))
    whole = product_rows(item, start_row, rows)
    length = len(products) // len(whole) if products is not None else 0
    for chunk in bodies.chunks(start_row, rows):
        first, last = chunk.start - start_row, chunk.stop - start_row
        own = product_rows(item, chunk.start, len(chunk))
        used = slice((own.start - whole.start) * length, (own.stop - whole.start) * length)
        place = item.packed_elements(first, ring.degree)
        packed[place : item.packed_elements(last, ring.degree)] = bodies.packed(
            chunk,
            noise[first * item.row_bodies : last * item.row_bodies],
            None if products is None else products[used],
        )
    return packed


def add_message_terms(
    item: PublicObject, source: RingArray, shares: RingArray, rows: range
) -> None:
    """Add the key bits that stand in the first body of each row, in place.

    A key switch row of bit i and level l has s_i 2^(w - base_log l), levels from L down to 1; of
    a GGSW only the last row of a level does, the others contain products.

    Args:
        item: the object.
        source: shares of the key bits, in the object's ring.
        shares: shares of the bodies, shape (len(rows) * row_bodies, d[, 2]).
        rows: the rows.
    """
    period = item.rows_per_input_bit
    per_level = period // item.levels
    constants = shares[:: item.row_bodies]
    for last_of_level in range(per_level - 1, period, per_level):
        first = (last_of_level - rows.start) % period
        own = constants[first::period]
        bit = (rows.start + first) // period
        shift = gadget_shift(item, last_of_level)
        terms = words.shift_left(source[bit : bit + len(own)], shift, item.word_bits)
        constants[first::period] = words.add(own, terms, item.word_bits)


def gadget_shift(item: PublicObject, row: int) -> int:
    """Return w - base_log * level of a row; levels go from L down to 1."""
    per_level = item.rows_per_input_bit // item.levels
    level = item.levels - row // per_level % item.levels
    return item.word_bits - item.base_log * level


def product_rows(item: PublicObject, start_row: int, rows: int) -> range:
    """Return which rows of the object's products a range of its rows contains."""
    if item.product is None or not rows:
        return range(0)
    polynomials = item.mask_polynomials
    first = start_row // item.rows_per_input_bit
    last = (start_row + rows - 1) // item.rows_per_input_bit
    return range(first * polynomials, (last + 1) * polynomials)


def pack_rows(item: PublicObject, shares: RingArray, ring: Ring) -> RingArray:
    """Pack d bodies an element, V = sum_c xi^c v_c; rows of polynomials are padded one by one.

    Args:
        item: the object.
        shares: shares (or public values, as ring elements) of whole rows of bodies.
        ring: the object's ring.
    """
    if not item.packed_by_row or not item.row_bodies % ring.degree:
        return pack(shares, ring)
    from mpc_core.kernels import packing  # noqa: PLC0415 kernels compile when imported

    kernel = packing.pack_64 if ring.bits == NARROW else packing.pack_128
    by_row = np.ascontiguousarray(shares).reshape(-1, item.row_bodies, *shares.shape[1:])
    packed = np.empty(
        (len(by_row), *ring.shape(packed_count(item.row_bodies, ring.degree))), np.uint64
    )
    for row, out in zip(by_row, packed, strict=True):
        kernel(row, out)
    return packed.reshape(-1, *shares.shape[1:])


def _own_ring(
    parameters: Parameters, item: PublicObject, name: str, keys: Mapping[str, RingArray]
) -> RingArray:
    """Return a key's shares in the ring of the object."""
    if secret_key(parameters, name).word_bits > item.word_bits:
        return words.reduce_to_64(keys[name])
    return keys[name]


def _target(item: PublicObject, key: RingArray) -> RingArray | TransformedKey:
    """Return the key as masks are multiplied by it."""
    if item.kind in {Kind.KEYSWITCH, Kind.ZEROS}:
        return key
    from mpc_core.kernels.negacyclic import transform_key  # noqa: PLC0415 kernels compile

    if item.kind is Kind.COMPACT_KEY:  # the compact key multiplies by the reversed key
        key = key[::-1]
    polynomials = key.reshape(item.mask_polynomials, item.row_bodies, *key.shape[1:])
    return transform_key(polynomials, item.word_bits)
