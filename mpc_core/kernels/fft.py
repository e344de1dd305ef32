"""Exact products mod X^N + 1 and mod 2^64 or 2^128, by transforms in double precision.

A word is written in D balanced digits of 16 bits, D = 4 or 8. So polynomials of words are D
polynomials of small integers each, which are transformed side by side (`kernels.lanes`), and the
product is that of the digits, cut off after D of them, with carries in the end.

**Transform.** With H = N/2, X^N + 1 = (X^H - i)(X^H + i): a real polynomial a is known from its
rest mod X^H - i, whose coefficients are a_j + i a_(j+H). From there X^4q - r^4 is split into the
four X^q - i^s r, down to linear factors; if H is no power of four, X^2q - r^2 is split into two
first. A product is taken value by value and joined again by the conjugate roots. That gives H times
the result; H is a power of two, so 1/H is put into the key's values without any error.

**Every rounding error together is less than 1/2**, for all inputs, so the integers are right. Let
u = 2^-53, h = log2 H, and k the number of products that are summed before they are joined.

1. Roots are tabulated to the nearest doubles, off by u / sqrt 2. The product of x by a tabulated
   root is off by less than 4u |x|, as 4 > 2 sqrt 2 + 1 / sqrt 2, with fused multiplications or
   without; a sum by u times its size. A splitting into four (two) so costs at most 6u (5u) of the
   Euclidean norm of its result, and apart from that is unitary times 2 (sqrt 2). The values A of a
   digit's polynomial a are off by at most e u |A|, e = 6 floor(h/2) + 5 (h mod 2), where
   |A| = sqrt(H) |a| <= sqrt(H N) 2^15, in Euclidean norms.
2. A lane is the sum of at most k D products A B. Let S be the sum of |A| |B| over them;
   S <= k D H N 2^30. Over all H places, the errors of A and B cost 2 e u S (Cauchy-Schwarz), the
   chains of D products and sums sqrt 2 D u S, what is added to them afterwards (k + 1) u S.
3. A coefficient of the result is 1/H times a sum of all H values, with factors of modulus 1. On the
   way each value goes into exactly one of the numbers that make up this coefficient, so those of a
   step have sizes that add up to S at most, and all steps together cost another e u S.

A coefficient is off by at most (3 e + sqrt 2 D + k + 1) u k D N 2^30. For k N <= 4096 and k <= 16,
as `products_at_once` makes sure, that is at most 0.47 (at N = 4096), and 0.41 at N = 2048.

Security: no branch, index or number of steps depends on a value. Additions and multiplications of
doubles take the same time for all values but subnormal ones; a share is uniform, and none of its
sums comes near 2^-1022 but by dozens of cancellations in a row. Transformed shares are as secret as
the shares.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from mpc_core.kernels.lanes import (
    add_product,
    add_rounded,
    join_four,
    join_two,
    load_digits,
    load_part,
    split_four,
    split_two,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LARGEST", "add_products", "products_at_once", "roots", "transform"]

LARGEST = 4096
"""Largest N."""
MOST_AT_ONCE = 16
LANES_OF_64_BITS = 4
POWERS_OF_FOUR = np.int64(0x5555_5555)
FRACTION_BITS = 128


def products_at_once(size: int) -> int:
    """Return how many products of N coefficients are summed before the sum is rounded."""
    return min(LARGEST // size, MOST_AT_ONCE)


@cache
def roots(size: int) -> NDArray[np.float64]:
    """Return the roots r of every splitting, in the order in which `_split` takes them.

    Args:
        size: N, a power of two, at least 2.

    Returns:
        Real and imaginary part of r, r^2 and r^3, shape (splittings, 6). A root is exp(2 pi i x):
        the first factor X^H - i has x = 1/4, and splitting a factor of x into p parts takes
        r = exp(2 pi i x / p) and leaves factors of (x + s) / p, s = 0 .. p-1.
    """
    units = _units(2 * size)
    places, length, rows = [size // 2], size // 2, []
    while length > 1:
        parts = 4 if length & int(POWERS_OF_FOUR) else 2
        halves = [place // parts for place in places]
        rows += [[units[r * power % len(units)] for power in (1, 2, 3)] for r in halves]
        places = [r + s * len(units) // parts for r in halves for s in range(parts)]
        length //= parts
    return np.array(rows, dtype=np.float64).reshape(-1, 6)


def _units(count: int) -> list[tuple[float, float]]:
    """Return exp(2 pi i x / count) for x below count, rounded to nearest; count is 4, 8, 16, ..."""
    one = 1 << FRACTION_BITS
    cosine, sine = 0, one
    for _ in range(count.bit_length() - 3):  # halve the angle, from a quarter of a turn on
        half = math.isqrt((one + cosine) * one // 2)
        cosine, sine = half, sine * one // (2 * half)
    x, y, units = one, 0, []
    for _ in range(count):
        units.append((x / one, y / one))
        x, y = (x * cosine - y * sine) // one, (x * sine + y * cosine) // one
    return units


@njit(nogil=True)
def _split(data, start, size, table, lanes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Replace the H = `size` coefficients from `start` on by the values at all factors."""
    step = 2 * len(lanes)
    blocks, length, row = 1, size, 0
    if not size & POWERS_OF_FOUR:
        length //= 2
        for at in range(start, start + length * step, step):
            split_two(data, at, length * step, table, 0, lanes)
        blocks, row = 2, 1
    while length > 1:
        length //= 4
        distance = length * step
        for block in range(blocks):
            first = start + 4 * block * distance
            for at in range(first, first + distance, step):
                split_four(data, at, distance, table, row + block, lanes)
        row += blocks
        blocks *= 4


@njit(nogil=True)
def _join(data, start, size, table, lanes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Undo `_split`, except for a factor H."""
    step = 2 * len(lanes)
    length, row = 1, len(table)
    while 4 * length <= size:
        blocks, distance = size // (4 * length), length * step
        row -= blocks
        for block in range(blocks):
            first = start + 4 * block * distance
            for at in range(first, first + distance, step):
                join_four(data, at, distance, table, row + block, lanes)
        length *= 4
    if length < size:
        for at in range(start, start + length * step, step):
            join_two(data, at, length * step, table, 0, lanes)


@njit(
    [
        "void(u8[::1], i8, i8, f8[::1], i8, i8, f8[:,::1], UniTuple(f8, 4))",
        "void(u8[::1], i8, i8, f8[::1], i8, i8, f8[:,::1], UniTuple(f8, 8))",
    ],
    nogil=True,
    cache=True,
)
def transform(words, first, stride, data, start, size, table, lanes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, PLR0917
    """Write the values of a polynomial of words at all H factors.

    Args:
        words: its N words, among others.
        first: where the first is.
        stride: from one to the next.
        data: the values from `start` on, H vectors.
        start: where they go.
        size: H.
        table: the roots.
        lanes: as many numbers as a word has digits.
    """
    step, half = 2 * len(lanes), size * stride
    for at in range(size):
        low = first + at * stride
        load_digits(words, low, low + half, data, start + at * step, lanes)
    _split(data, start, size, table, lanes)


@njit(nogil=True)
def _add_values(products, values, key, size, degree, lanes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    """Add the mask's values times the values of each of the `degree` key polynomials."""
    step = 2 * len(lanes)
    for at in range(0, size * step, step):
        real = load_part(values, at, lanes)  # type: ignore[call-arg, var-annotated]
        imaginary = load_part(values, at + len(lanes), lanes)
        for place in range(at, degree * size * step, size * step):
            add_product(products, place, real, imaginary, key, place, lanes)


@njit(
    [
        "void(u8[::1], f8[::1], f8[:,::1], u8[::1], UniTuple(i8, 5), f8[::1], UniTuple(f8, 4))",
        "void(u8[::1], f8[::1], f8[:,::1], u8[::1], UniTuple(i8, 5), f8[::1], UniTuple(f8, 8))",
    ],
    nogil=True,
    cache=True,
)
def add_products(masks, key, table, total, shape, scratch, lanes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, PLR0917
    """Add sum_j a_j S_j to `total` for every row of polynomials a_j.

    Args:
        masks: words of the a_j, (rows, polynomials, N).
        key: values of the S_j divided by H, (polynomials, degree, H).
        table: the roots.
        total: words, (rows, N, degree).
        shape: rows, polynomials, how many of them at once, H, degree.
        scratch: room for degree + 1 times H vectors.
        lanes: as many numbers as a word has digits.
    """
    rows, polynomials, at_once, size, degree = shape
    width, span = len(lanes) // LANES_OF_64_BITS, size * 2 * len(lanes)
    values, products = scratch[:span], scratch[span:]
    for row in range(rows):
        for first in range(0, polynomials, at_once):
            products[:] = 0.0
            for polynomial in range(first, min(first + at_once, polynomials)):
                place = (row * polynomials + polynomial) * 2 * size * width
                transform(masks, place, width, values, 0, size, table, lanes)
                shares = key[polynomial * degree * span :]
                _add_values(products, values, shares, size, degree, lanes)
            for c in range(degree):
                _join(products, c * span, size, table, lanes)
                for at in range(size):
                    low = ((row * 2 * size + at) * degree + c) * width
                    high = low + size * degree * width
                    add_rounded(total, low, high, products, (c * size + at) * 2 * len(lanes), lanes)
