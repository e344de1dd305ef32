import pytest

from mpc_core.tfhe.parameters import lookup
from tests.support.reference_keys import generate


@pytest.fixture(scope="session")
def reference():
    return generate(lookup("test"), bytes(range(16)))
