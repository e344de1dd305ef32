import numpy as np
import pytest

from mpc_core.tfhe.objects import public_objects
from mpc_core.tfhe.parameters import lookup
from tests.support.reference_keys import residues, tuniform

OBJECTS = public_objects(lookup("test"))


@pytest.mark.parametrize("item", OBJECTS, ids=lambda item: item.name)
def test_the_noise_of_every_body_is_found_again_and_within_its_bound(reference, item):
    found = residues(
        reference.parameters, item, reference.seed, reference.secrets, reference.bodies[item.number]
    )
    assert np.array_equal(found, reference.noise[item.number])
    assert np.abs(found).max() <= 1 << item.noise_bound_log2


def test_one_wrong_body_is_noticed(reference):
    item = OBJECTS[3]
    bodies = reference.bodies[item.number].copy()
    bodies[100] += np.uint64(1 << 27)
    found = residues(reference.parameters, item, reference.seed, reference.secrets, bodies)
    assert np.abs(found).max() > 1 << item.noise_bound_log2


def test_tuniform_has_half_weight_at_the_ends():
    every = np.arange(8, dtype=np.uint8)
    assert sorted(tuniform(every, 1).tolist()) == [-2, -1, -1, 0, 0, 1, 1, 2]
