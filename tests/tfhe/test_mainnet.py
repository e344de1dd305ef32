import hashlib

import pytest

from mpc_core.tfhe.export import KeyFile, write_key_file
from mpc_core.tfhe.parameters import lookup
from tests.support import judge
from tests.support.client_key import write_client_key
from tests.support.reference_keys import generate

SEED = bytes(range(1, 17))
TAG = b"full size"


def digest(keys, file):
    total = hashlib.sha256()
    write_key_file(file, keys.parameters, keys.seed, TAG, keys.bodies, write=total.update)
    return total.digest()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["mainnet", "mainnet-2025"])
def test_full_size_keys_are_those_of_tfhe_rs_byte_for_byte_and_compute(name, tmp_path):
    judge.generate(name, SEED, TAG, tmp_path)
    keys = generate(lookup(name), SEED)
    client_key = write_client_key(keys.parameters, keys.secrets, TAG)
    assert client_key == (tmp_path / "ClientKey").read_bytes()
    for file in KeyFile:
        with (tmp_path / file.value).open("rb") as stream:
            assert digest(keys, file) == hashlib.file_digest(stream, "sha256").digest(), file
    found = judge.check(name, tmp_path)
    assert found["xof"] == found["server_key"] == {"sum": 34, "product": 253, "chosen": 23}
    assert found["squashing"] == {"direct": 201, "flag": True, "stored": 201}
    assert found["compression"] == {"number": 51_967, "flag": False}
    assert found["rerandomization"] == {"changed": True, "value": 78}
