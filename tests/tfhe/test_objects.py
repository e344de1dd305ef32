import pytest

from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.objects import Kind, public_objects, random_bits, secret_keys
from mpc_core.tfhe.parameters import PARAMETER_SETS, lookup

BODIES = {"test": 265_746, "mainnet": 38_617_088}
BITS = {"test": 729_638, "mainnet": 877_622_060, "mainnet-2025": 785_207_190}
PRODUCTS = {"test": 66_304, "mainnet": 9_617_408, "mainnet-2025": 7_737_344}


@pytest.mark.parametrize("name", BODIES)
def test_every_set_has_the_documented_number_of_bodies(name):
    assert sum(item.bodies for item in public_objects(lookup(name))) == BODIES[name]


@pytest.mark.parametrize("name", BITS)
def test_every_set_takes_the_documented_number_of_random_bits(name):
    assert random_bits(lookup(name)) == BITS[name]


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_set_takes_the_documented_number_of_products(name):
    products = [item.product for item in public_objects(lookup(name)) if item.product]
    assert sum(product.rows * product.row_length for product in products) == PRODUCTS[name]


def test_the_bodies_of_mainnet_are_those_of_the_table():
    rows = {item.number: item.bodies for item in public_objects(lookup("mainnet"))}
    assert rows == {
        1: 2_048,
        2: 1_572_864,
        3: 4_194_304,
        4: 8_192,
        5: 3_760_128,
        7: 16_920_576,
        9: 8_192,
        10: 2_048,
        11: 8_388_608,
        12: 3_760_128,
    }


def test_the_test_set_has_all_twelve_objects_in_stream_order():
    assert [item.number for item in public_objects(lookup("test"))] == list(range(1, 13))


@pytest.mark.parametrize("name", PARAMETER_SETS)
def test_masks_follow_each_other_without_gaps_at_block_boundaries(name):
    end = 0
    for item in public_objects(lookup(name)):
        assert item.mask_offset == end
        assert item.mask_offset % 16 == 0
        end += item.mask_bytes


def test_a_key_used_mod_2_128_anywhere_is_shared_mod_2_128():
    for parameters in PARAMETER_SETS.values():
        words = {key.name: key.word_bits for key in secret_keys(parameters)}
        for item in public_objects(parameters):
            for key in filter(None, (item.input_key, item.target_key)):
                assert words[key] >= item.word_bits


def test_mainnet_has_17196_key_bits():
    assert sum(key.bits for key in secret_keys(lookup("mainnet"))) == 17_196


def test_rows_are_packed_alone_only_where_they_are_polynomials():
    for item in public_objects(lookup("mainnet")):
        alone = item.kind in {Kind.BOOTSTRAP, Kind.PACKING_KEYSWITCH}
        assert item.packing_row == (item.row_bodies if alone else item.bodies)
        assert item.packed_elements(1, 3) == -(-item.row_bodies // 3)


def test_only_the_test_set_is_insecure():
    assert [p.name for p in PARAMETER_SETS.values() if p.insecure] == ["test"]


def test_an_unknown_parameter_set_is_refused_with_the_known_names():
    with pytest.raises(CeremonyError) as caught:
        lookup("mainnett")
    assert caught.value.code == "RF-PLAN-001"
    assert "mainnet-2025" in caught.value.expected
