import itertools

import numpy as np
import pytest

from mpc_core.ring.galois import Ring
from mpc_core.tfhe import words
from mpc_core.tfhe.assembly import (
    gadget_shift,
    message_terms,
    pack_rows,
    packed_body_shares,
    product_rows,
)
from mpc_core.tfhe.objects import public_object, public_objects, secret_key, secret_keys
from mpc_core.tfhe.parameters import lookup
from tests.support.reference_keys import products, signed, trivial

PARAMETERS = lookup("test")
NUMBERS = [item.number for item in public_objects(PARAMETERS)]


def lifted(values, degree):
    """Put words of Z_2^K into the ring of degree d, as constants (a sharing of degree 0)."""
    wide = np.zeros((values.shape[0], degree, *values.shape[2:]), dtype=np.uint64)
    wide[:, 0] = values[:, 0]
    return wide


def shares_of(reference, number, degree, start_row, rows):
    item = public_object(PARAMETERS, number)
    ring = Ring(item.word_bits, degree)
    keys = {
        key.name: lifted(trivial(reference.secrets[key.name], key.word_bits), degree)
        for key in secret_keys(PARAMETERS)
    }
    first, last = start_row * item.row_bodies, (start_row + rows) * item.row_bodies
    noise = lifted(signed(reference.noise[number], item.word_bits), degree)[first:last]
    packed = None
    if item.product:
        size = item.product.row_length
        values = lifted(products(item.product, reference.secrets), degree)
        used = product_rows(item, start_row, rows)
        packed = pack_rows(item, values[used.start * size : used.stop * size], ring)
    return packed_body_shares(
        PARAMETERS,
        item,
        reference.seed,
        keys,
        noise,
        products=packed,
        start_row=start_row,
        rows=rows,
        ring=ring,
    )


@pytest.mark.parametrize("degree", [1, 3, 4])
@pytest.mark.parametrize("number", NUMBERS)
def test_packed_shares_open_to_the_packed_bodies(reference, number, degree):
    item = public_object(PARAMETERS, number)
    shares = shares_of(reference, number, degree, 0, item.rows)
    assert shares.shape[0] == item.packed_elements(item.rows, degree)
    bodies = lifted(reference.bodies[number][:, None], degree)
    expected = pack_rows(item, bodies, Ring(item.word_bits, degree))
    assert np.array_equal(shares, expected)


@pytest.mark.parametrize("number", NUMBERS)
def test_rows_may_be_worked_on_in_any_ranges(reference, number):
    item = public_object(PARAMETERS, number)
    whole = shares_of(reference, number, 1, 0, item.rows)
    cuts = sorted({0, 1, item.rows // 3, item.rows - 1, item.rows} & set(range(item.rows + 1)))
    parts = [
        shares_of(reference, number, 1, first, last - first)
        for first, last in itertools.pairwise(cuts)
    ]
    assert np.array_equal(np.concatenate(parts), whole)


def test_a_64_bit_object_sees_only_the_low_words_of_wide_keys(reference):
    item = public_object(PARAMETERS, 4)
    keys = {
        key.name: trivial(reference.secrets[key.name], key.word_bits)
        for key in secret_keys(PARAMETERS)
    }
    noise = signed(reference.noise[4], 64)
    arguments = {"products": None, "start_row": 0, "rows": item.rows, "ring": Ring(64, 1)}
    plain = packed_body_shares(PARAMETERS, item, reference.seed, keys, noise, **arguments)
    keys["small-lwe"] = keys["small-lwe"].copy()
    keys["small-lwe"][..., 1] = 99
    assert secret_key(PARAMETERS, "small-lwe").word_bits == 128
    again = packed_body_shares(PARAMETERS, item, reference.seed, keys, noise, **arguments)
    assert np.array_equal(plain, again)
    assert plain.shape == (item.bodies, 1)


def test_gadget_levels_run_from_the_last_to_the_first():
    item = public_object(lookup("mainnet"), 7)
    shifts = [gadget_shift(item, row) for row in range(9)]
    assert shifts == [128 - 72] * 3 + [128 - 48] * 3 + [128 - 24] * 3
    assert gadget_shift(item, 9) == 128 - 72


def test_only_the_last_row_of_a_level_of_a_ggsw_has_a_key_bit():
    mainnet = lookup("mainnet")
    item = public_object(mainnet, 7)
    ones = np.zeros((918, 1, 2), dtype=np.uint64)
    ones[:, 0, 0] = 1
    terms = message_terms(mainnet, item, {"small-lwe": ones}, 0, 9)
    gadgets = [words.shift_left(ones[0], shift, 128).tolist() for shift in (56, 80, 104)]
    zero = np.zeros((1, 2), dtype=np.uint64).tolist()
    expected = [[zero, zero, gadget] for gadget in gadgets]
    assert terms.tolist() == [term for level in expected for term in level]


def test_product_rows_cover_the_input_bits_that_a_range_touches():
    item = public_object(lookup("mainnet"), 7)
    assert product_rows(item, 0, 9) == range(2)
    assert product_rows(item, 8, 2) == range(4)
    assert product_rows(item, 9, 1) == range(2, 4)
    assert product_rows(item, 0, item.rows) == range(item.product.rows)
    assert product_rows(public_object(lookup("mainnet"), 2), 0, 5) == range(0)
