"""Scaled sets: everything that the whole set has, in fewer dimensions."""

from dataclasses import replace

import numpy as np
import pytest

from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.export import KeyFile, read_key_file
from mpc_core.tfhe.objects import public_objects, random_bits, secret_keys
from mpc_core.tfhe.parameters import DRILL_SET, PARAMETER_SETS, lookup, scaled_name
from tests.support.reference_keys import generate

ORIGINS = sorted(PARAMETER_SETS)
SCALES = [2, 16, 64]


def shape(item):
    """Return what an object is made of, without its size."""
    gone = replace(item, rows=0, row_bodies=0, mask_polynomials=0, mask_offset=0, product=None)
    return gone, item.product and item.product.word_bits


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("scale", SCALES)
def test_a_scaled_set_has_every_object_with_its_ring_noise_and_gadget(origin, scale):
    whole, scaled = (public_objects(lookup(name)) for name in (origin, scaled_name(origin, scale)))
    assert [shape(item) for item in scaled] == [shape(item) for item in whole]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("scale", SCALES)
def test_a_scaled_set_takes_a_fraction_of_the_bits(origin, scale):
    whole, scaled = (random_bits(lookup(name)) for name in (origin, scaled_name(origin, scale)))
    assert scaled < whole / scale * 1.01
    if origin != "test":  # its LWE dimension is 1 and stays 1
        assert scaled < whole / scale**2 * 1.3


@pytest.mark.parametrize("origin", ORIGINS)
def test_every_polynomial_keeps_a_power_of_two_and_masks_keep_their_block_boundaries(origin):
    parameters = lookup(scaled_name(origin, 64))
    for key in secret_keys(parameters):
        assert key.polynomial_size.bit_count() == 1
    assert parameters.compact.lwe_dimension.bit_count() == 1
    for item in public_objects(parameters):
        assert item.mask_offset % 16 == 0


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_scaled_set_says_that_it_is_scaled_and_insecure(origin):
    scaled = lookup(f"{origin}-scaled-16")
    assert scaled.name == f"{origin}-scaled-16"
    assert scaled.insecure


@pytest.mark.parametrize("scale", ["3", "1", "128", "999999"])
def test_a_scale_that_leaves_no_polynomial_is_refused(scale):
    with pytest.raises(CeremonyError) as caught:
        lookup(f"mainnet-scaled-{scale}")
    assert caught.value.code == "RF-PLAN-016"


@pytest.mark.parametrize(
    "name", ["mainnet-scaled-016", "mainnet-scaled-", "none-scaled-2", "test-scaled-2-scaled-2"]
)
def test_another_notation_of_a_scaled_name_is_no_set(name):
    with pytest.raises(CeremonyError) as caught:
        lookup(name)
    assert caught.value.code == "RF-PLAN-001"


@pytest.mark.parametrize("file", KeyFile)
@pytest.mark.parametrize("origin", ORIGINS)
def test_key_files_of_a_scaled_set_are_read_back_and_another_scale_refuses_them(origin, file):
    keys = generate(lookup(f"{origin}-scaled-32"), bytes(16))
    data = keys.file(file, b"tag")
    found = read_key_file(file, keys.parameters, data)
    assert all(np.array_equal(found.bodies[number], keys.bodies[number]) for number in found.bodies)
    with pytest.raises(CeremonyError, match="RF-TFHE-001"):
        read_key_file(file, lookup(f"{origin}-scaled-16"), data)


def test_the_set_of_drills_has_every_object_and_few_bits():
    micro, whole = lookup(DRILL_SET), lookup("test")
    kinds = [(each.number, each.kind, each.word_bits) for each in public_objects(whole)]
    assert [(each.number, each.kind, each.word_bits) for each in public_objects(micro)] == kinds
    assert random_bits(micro) + 3 * 10 <= 500
    assert micro.insecure
    assert DRILL_SET not in PARAMETER_SETS
    assert all(each.mask_offset % 16 == 0 for each in public_objects(micro))
