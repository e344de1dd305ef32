import itertools

import numpy as np
import pytest

from mpc_core.kernels import assembly as kernels
from mpc_core.ring.galois import Ring
from mpc_core.sharing.packing import pack
from mpc_core.tfhe import polynomials, words
from mpc_core.tfhe.assembly import (
    BodyShares,
    add_message_terms,
    gadget_shift,
    pack_rows,
    packed_body_shares,
    product_rows,
)
from mpc_core.tfhe.objects import Kind, public_object, public_objects, secret_key, secret_keys
from mpc_core.tfhe.parameters import lookup
from mpc_core.tfhe.xof import mask_rows, mask_stream
from tests.support.reference_keys import products, signed, trivial

PARAMETERS = lookup("test")
NUMBERS = [item.number for item in public_objects(PARAMETERS)]
SMALL = lookup("mainnet-scaled-64")
SEED = bytes(range(16))


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
    item = public_object(lookup("mainnet"), 7)
    ones = np.zeros((918, 1, 2), dtype=np.uint64)
    ones[:, 0, 0] = 1
    shares = np.zeros((9 * item.row_bodies, 1, 2), dtype=np.uint64)
    add_message_terms(item, ones, shares, range(9))
    gadgets = [words.shift_left(ones[0], shift, 128).tolist() for shift in (56, 80, 104)]
    zero = np.zeros((1, 2), dtype=np.uint64).tolist()
    expected = [[zero, zero, gadget] for gadget in gadgets]
    constants = shares[:: item.row_bodies]
    assert constants.tolist() == [term for level in expected for term in level]
    assert shares.sum() == constants.sum()


def test_product_rows_cover_the_input_bits_that_a_range_touches():
    item = public_object(lookup("mainnet"), 7)
    assert product_rows(item, 0, 9) == range(2)
    assert product_rows(item, 8, 2) == range(4)
    assert product_rows(item, 9, 1) == range(2, 4)
    assert product_rows(item, 0, item.rows) == range(item.product.rows)
    assert product_rows(public_object(lookup("mainnet"), 2), 0, 5) == range(0)


def random_inputs(item, degree, seed):
    """Return keys, noise and packed products of an object, all random elements of its rings."""
    random = np.random.default_rng(seed)

    def draw(count, ring):
        return random.integers(0, 2**64, ring.shape(count), dtype=np.uint64)

    ring = Ring(item.word_bits, degree)
    keys = {key.name: draw(key.bits, Ring(key.word_bits, degree)) for key in secret_keys(SMALL)}
    products = None
    if item.product:
        products = draw(item.product.rows * -(-item.product.row_length // degree), ring)
    return ring, keys, draw(item.bodies, ring), products


def plain_packed_shares(item, ring, keys, noise, products):
    """Return the shares of all bodies by the formula, row by row."""
    bits, wide = item.word_bits, item.word_bits == 128
    own = {name: key if wide or key.ndim == 2 else key[..., 0] for name, key in keys.items()}
    masks = mask_rows(mask_stream(SEED), item, 0, item.rows)
    target = own[item.target_key]
    if item.kind in {Kind.KEYSWITCH, Kind.ZEROS}:
        shares = noise + np.tensordot(masks, target, axes=(1, 0))
    else:
        target = target[::-1] if item.kind is Kind.COMPACT_KEY else target
        shape = (item.mask_polynomials, item.row_bodies)
        rows = masks.reshape(item.rows, *shape, *masks.shape[2:])
        inner = polynomials.negacyclic_sum(rows, target.reshape(*shape, *target.shape[1:]), bits)
        shares = words.add(inner.reshape(noise.shape), noise, bits)
    by_row = shares.reshape(item.rows, item.row_bodies, *noise.shape[1:])
    columns = item.mask_polynomials + 1 if item.product else 1
    for row in range(item.rows) if item.input_key else ():
        if row % columns == columns - 1:
            bit = own[item.input_key][row // item.rows_per_input_bit]
            term = words.shift_left(bit, gadget_shift(item, row), bits)
            by_row[row, 0] = words.add(by_row[row, 0], term, bits)
    if not item.packed_by_row:
        return pack(shares, ring)
    packed = np.stack([pack(np.ascontiguousarray(row), ring) for row in by_row])
    for row in range(item.rows) if item.product else ():
        if row % columns < columns - 1:
            bit = row // item.rows_per_input_bit
            place = bit * item.mask_polynomials + row % columns
            product = products.reshape(-1, *packed.shape[1:])[place]
            term = words.shift_left(product, gadget_shift(item, row), bits)
            packed[row] = words.subtract(packed[row], term, bits)
    return packed.reshape(-1, *packed.shape[2:])


@pytest.mark.parametrize("degree", [3, 4])
@pytest.mark.parametrize("item", public_objects(SMALL), ids=lambda item: item.name)
def test_shares_of_random_keys_are_those_of_the_formula(item, degree):
    ring, keys, noise, products = random_inputs(item, degree, item.number)
    for array in filter(lambda array: array is not None, (*keys.values(), noise, products)):
        array.flags.writeable = False
    found = packed_body_shares(
        SMALL, item, SEED, keys, noise, products=products, start_row=0, rows=item.rows, ring=ring
    )
    assert np.array_equal(found, plain_packed_shares(item, ring, keys, noise, products))


@pytest.mark.parametrize("number", [3, 4, 7, 11])
def test_chunks_follow_each_other_and_fill_their_elements(number):
    item = public_object(lookup("mainnet"), number)
    degree = 3
    bodies = BodyShares(item, Ring(item.word_bits, degree), mask_stream(SEED), None, np.zeros(0))
    start, rows = 5, item.rows - 7
    chunks = list(bodies.chunks(start, rows))
    assert [row for chunk in chunks for row in chunk] == list(range(start, start + rows))
    assert all(len(chunk) % degree == 0 for chunk in chunks[:-1])
    assert (
        max(len(chunk) * item.row_mask_words * item.word_bits // 8 for chunk in chunks) <= 1 << 20
    )
    filled = sum(item.packed_elements(len(chunk), degree) for chunk in chunks)
    assert filled == item.packed_elements(rows, degree)


@pytest.mark.parametrize("word_bits", [64, 128])
@pytest.mark.parametrize("shift", [0, 1, 41, 63])
def test_shifted_products_are_subtracted_word_by_word(word_bits, shift):
    random = np.random.default_rng(shift)
    shape = (50,) if word_bits == 64 else (50, 2)
    total, values = (random.integers(0, 2**64, shape, dtype=np.uint64) for _ in range(2))
    values.flags.writeable = False
    total[:3], kernel = 0, getattr(kernels, f"subtract_shifted_{word_bits}")
    for count in {shift, word_bits - 1 - shift}:
        term = words.shift_left(values, count, word_bits)
        expected = words.subtract(total, term, word_bits)
        kernel(total, values, count)
        assert np.array_equal(total, expected)


def test_a_prepared_object_shows_no_share():
    item = public_object(SMALL, 7)
    ring, keys, _, _ = random_inputs(item, 3, 1)
    bodies = BodyShares.of(SMALL, item, SEED, keys, ring)
    assert not any(character in repr(bodies) for character in "([")
