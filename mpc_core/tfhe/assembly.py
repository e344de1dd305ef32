"""Public bodies as linear functions of stored sharings.

Every body of a key set is b = <a, s> + m + e, where the masks a are public, s and e are shared
with degree t, and m is a key bit or a product of two, times a power of two. So an operator forms
its share of b alone. Arrays of shares end in the d coefficients of the Galois ring (and the two
halves of a 128-bit word); rows of an object may be worked on in any ranges.

Security: a body's share is formed in the object's own ring: key shares mod 2^128 are reduced
before any of this. What is opened is a degree-t sharing whose secret is public, so t operators
learn nothing beyond the body (PROTOCOL.md, "Assembly").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mpc_core.sharing.packing import pack
from mpc_core.tfhe import words
from mpc_core.tfhe.objects import Kind, secret_key
from mpc_core.tfhe.xof import mask_rows, mask_stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.tfhe.objects import PublicObject
    from mpc_core.tfhe.parameters import Parameters

__all__ = [
    "gadget_shift",
    "linear_shares",
    "message_terms",
    "pack_rows",
    "packed_body_shares",
    "product_rows",
]


def linear_shares(  # noqa: PLR0917 what the formula takes
    parameters: Parameters,
    item: PublicObject,
    seed: bytes,
    keys: Mapping[str, RingArray],
    noise: RingArray,
    start_row: int,
    rows: int,
) -> RingArray:
    """Return the shares of <a, s> + e + [key bit terms]: everything of a body but products.

    Args:
        parameters: the parameter set.
        item: the object.
        seed: the public seed, 16 bytes.
        keys: shares of the secret keys by name, shape (bits, d), or (bits, d, 2) for keys that
            are shared mod 2^128; at least the object's input and target key.
        noise: shares of the noise of these rows, shape (rows * row_bodies, d[, 2]), in the
            object's ring.
        start_row: first row.
        rows: number of rows.

    Returns:
        Shares, shape (rows * row_bodies, d[, 2]), in the object's ring.
    """
    target = _own_ring(parameters, item, item.target_key, keys)
    masks = mask_rows(mask_stream(seed), item, start_row, rows)
    if item.kind in {Kind.KEYSWITCH, Kind.ZEROS}:
        inner = np.tensordot(masks, target, axes=(1, 0))
    else:
        inner = _polynomial_terms(item, masks, target)
    shares = words.add(inner.reshape(noise.shape), noise, item.word_bits)
    if item.input_key:
        constant = shares[:: item.row_bodies]
        terms = message_terms(parameters, item, keys, start_row, rows)
        shares[:: item.row_bodies] = words.add(constant, terms, item.word_bits)
    return shares


def message_terms(
    parameters: Parameters,
    item: PublicObject,
    keys: Mapping[str, RingArray],
    start_row: int,
    rows: int,
) -> RingArray:
    """Return the shares of the key bits that stand in the first body of each row.

    A key switch row of bit i and level l has s_i 2^(w - base_log l), levels from L down to 1; of
    a GGSW only the last row of a level does, the others contain products.

    Returns:
        Shares, shape (rows, d[, 2]).
    """
    source = _own_ring(parameters, item, item.input_key, keys)
    terms = np.zeros((rows, *source.shape[1:]), dtype=np.uint64)
    per_level = item.rows_per_input_bit // item.levels
    for row in range(start_row, start_row + rows):
        rest, place = divmod(row, per_level)
        if place == per_level - 1:
            shift = gadget_shift(item, row)
            bit = source[rest // item.levels]
            terms[row - start_row] = words.shift_left(bit, shift, item.word_bits)
    return terms


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
    """Return the packed shares of some rows of an object, ready to be opened.

    Args:
        parameters: the parameter set.
        item: the object.
        seed: the public seed, 16 bytes.
        keys: shares of the secret keys by name.
        noise: shares of the noise of these rows.
        products: packed products of `product_rows(item, start_row, rows)`, shape
            (len(range) * ceil(N / d), d[, 2]); `None` for objects without.
        start_row: first row.
        rows: number of rows.
        ring: the object's ring.

    Returns:
        Shares of sum_c xi^c b_c, shape (item.packed_elements(rows, d), d[, 2]).
    """
    shares = linear_shares(parameters, item, seed, keys, noise, start_row=start_row, rows=rows)
    packed = pack_rows(item, shares, ring)
    if item.product is None:
        return packed
    assert products is not None
    available = product_rows(item, start_row, rows)
    by_row = packed.reshape(rows, -1, *packed.shape[1:])
    product = products.reshape(len(available), *by_row.shape[1:])
    polynomials = item.mask_polynomials
    for row in range(start_row, start_row + rows):
        place = row % (polynomials + 1)
        if place < polynomials:
            bit = row // item.rows_per_input_bit
            source = product[bit * polynomials + place - available.start]
            term = words.shift_left(source, gadget_shift(item, row), item.word_bits)
            at = row - start_row
            by_row[at] = words.subtract(by_row[at], term, item.word_bits)
    return packed


def pack_rows(item: PublicObject, shares: RingArray, ring: Ring) -> RingArray:
    """Pack d bodies an element, V = sum_c xi^c v_c; rows of polynomials are padded one by one.

    Args:
        item: the object.
        shares: shares (or public values, as ring elements) of whole rows of bodies.
        ring: the object's ring.
    """
    padding = -item.row_bodies % ring.degree
    if not item.packed_by_row or not padding:
        return pack(shares, ring)
    by_row = shares.reshape(-1, item.row_bodies, *shares.shape[1:])
    widths = ((0, 0), (0, padding), *((0, 0) for _ in shares.shape[1:]))
    padded = np.pad(by_row, widths)
    return pack(padded.reshape(-1, *shares.shape[1:]), ring)


def _own_ring(
    parameters: Parameters, item: PublicObject, name: str, keys: Mapping[str, RingArray]
) -> RingArray:
    """Return a key's shares in the ring of the object."""
    if secret_key(parameters, name).word_bits > item.word_bits:
        return words.reduce_to_64(keys[name])
    return keys[name]


def _polynomial_terms(
    item: PublicObject, masks: NDArray[np.uint64], target: RingArray
) -> RingArray:
    """Return sum_j a_j(X) S_j(X) mod X^N + 1 for every row."""
    from mpc_core.kernels.negacyclic import negacyclic_sum  # noqa: PLC0415 (compiles on import)

    if item.kind is Kind.COMPACT_KEY:  # the compact key multiplies by the reversed key
        target = target[::-1]
    shape = (item.mask_polynomials, item.row_bodies)
    rows = masks.reshape(masks.shape[0], *shape, *masks.shape[2:])
    return negacyclic_sum(rows, target.reshape(*shape, *target.shape[1:]), item.word_bits)
